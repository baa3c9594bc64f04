"""Several adapters on several sets: the base is loaded once, each result saved when done."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from common import ranks
from common.files import check_replaceable, make_folder
from data import PromptTemplate
from eval.export import export_samples
from eval.files import RESULT
from eval.harness import evaluate
from eval.journal import Journal
from eval.report import save_plot, save_report
from eval.request import BASE, EvalRequest
from eval.result import Result, load_result, save_result
from eval.shared import SharedChecker, SharedSampler
from models.loading import check_adapter, context_length, load_tokenizer
from rewards import Checker
from sampling import Sampler, load_sampler, pick_backend
from sampling.load import refuse_unknown


def evaluate_all(request: EvalRequest, out: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Evaluate; yields for each set the results by name.

    Under torchrun each process samples and checks some of the problems, and the first one writes.
    One adapter on one set is saved in `out` itself, others in `out/SET/NAME`, with one report of
    all beside them. What an earlier, identical call finished is not done again.
    """
    places = request.places(out)
    if ranks.is_first():
        for place in places.values():
            check_replaceable(place, RESULT)
        make_folder(out.parent if request.single else out)
    engine = engine_options(request)
    prompt = PromptTemplate(load_tokenizer(request.model), **request.prompt)
    # All are asked for their prompts before the model is loaded: one may be impossible.
    asks = [len(prompt.encode(problem)) for some in request.sets.values() for problem in some]
    if pick_backend(request.backend) != "torch" and not engine.get("servers"):
        context = context_length(AutoConfig.from_pretrained(request.model))
        engine.setdefault("max_model_len", min(context, max(asks) + request.params.max_tokens))
    with open_sampler(request, engine, prompt) as sampler, SharedChecker() as checker:
        for source in request.sets:
            found = {}
            for name, adapter in zip(request.names, request.adapters, strict=True):
                place = places[source, name]
                found[name] = _evaluate(request, sampler, prompt, checker, source, adapter, place)
            if not request.single and ranks.is_first():
                results, names, folder = list(found.values()), list(found), place.parent
                save_report(folder / "report.html", results, names)
                save_plot(folder / "pass_at_k.png", results, names)
            yield {name: results for name, (results, _) in found.items()}


def open_sampler(request: EvalRequest, engine: dict[str, Any], prompt: PromptTemplate) -> Sampler:
    """The sampler; each process its own, but servers are asked by the first one for all."""
    servers = pick_backend(request.backend) == "vllm-server"
    alone = servers and not ranks.is_first()
    sampler = None if alone else load_sampler(request.backend, request.model, **engine)
    if ranks.size() == 1 and sampler is not None:
        return sampler
    return SharedSampler(sampler, prompt.tokenizer)


def engine_options(request: EvalRequest) -> dict[str, Any]:
    """What the sampling engine is opened with; raises UserError for what it does not know.

    vLLM reserves room for adapters of one greatest rank, here that of the adapters asked for.
    """
    adapters = [check_adapter(a, request.model) for a in request.adapters if a is not None]
    options = {"dtype": request.dtype, **request.options}
    refuse_unknown(request.backend, request.options, "--options")
    if adapters and pick_backend(request.backend) != "torch":
        options.setdefault("max_lora_rank", max(map(adapter_rank, adapters)))
    return options


def adapter_rank(settings: dict[str, Any]) -> int:
    """The greatest rank in an adapter's configuration."""
    return max([int(settings["r"]), *map(int, (settings.get("rank_pattern") or {}).values())])


def _evaluate(
    request: EvalRequest,
    sampler: Sampler,
    prompt: PromptTemplate,
    checker: Checker,
    source: str,
    adapter: str | None,
    place: Path,
) -> Result:
    problems = request.sets[source]
    question = {
        "model": request.model,
        "adapter": adapter,
        "data": source,
        "problems": [(p.id, p.question, p.answer, p.messages) for p in problems],
        "n": request.n,
        "params": dataclasses.asdict(request.params),
        "prompt": prompt.describe(),
        "engine": [sampler.backend, request.dtype, request.options],
    }
    journal = Journal(place, question) if ranks.is_first() else None
    sampler.update_adapter(adapter)
    results, samples = evaluate(
        sampler,
        problems,
        prompt,
        checker,
        request.params,
        n=request.n,
        ks=request.ks,
        model=request.model,
        adapter=adapter,
        data=source,
        journal=journal,
    )

    def more(folder: Path) -> None:
        save_report(folder / "report.html", [(results, samples)], [Path(adapter or BASE).name])
        if request.export:
            export_samples(folder / "samples_lm_eval.jsonl", samples, problems, prompt)

    if journal:
        save_result(place, results, samples, more)
        journal.close()
    return ranks.first(load_result(place) if ranks.is_first() else (results, samples))
