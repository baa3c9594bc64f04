"""Several adapters on several sets: the base is loaded once, each result saved when done."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from common import ranks
from common.files import check_replaceable, make_folder
from data import PromptTemplate
from eval.asked import BASE, Asked
from eval.export import export_samples
from eval.files import RESULT
from eval.harness import evaluate
from eval.journal import Journal
from eval.report import save_plot, save_report
from eval.result import Result, load_result, save_result
from eval.shared import SharedChecker, SharedSampler
from models.loading import check_adapter, context_length, load_tokenizer
from rewards import Checker
from sampling import Sampler, load_sampler, pick_backend
from sampling.load import refuse_unknown


def evaluate_all(asked: Asked, out: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Evaluate; yields for each set the results by name.

    Under torchrun each process samples and checks some of the problems, and the first one writes.
    One adapter on one set is saved in `out` itself, others in `out/SET/NAME`, with one report of
    all beside them. What an earlier, identical call finished is not done again.
    """
    places = asked.places(out)
    if ranks.is_first():
        for place in places.values():
            check_replaceable(place, RESULT)
        make_folder(out.parent if asked.single else out)
    engine = engine_options(asked)
    prompt = PromptTemplate(load_tokenizer(asked.model), **asked.prompt)
    # All are asked for their prompts before the model is loaded: one may be impossible.
    asks = [len(prompt.encode(problem)) for some in asked.sets.values() for problem in some]
    if pick_backend(asked.backend) != "torch" and not engine.get("servers"):
        context = context_length(AutoConfig.from_pretrained(asked.model))
        engine.setdefault("max_model_len", min(context, max(asks) + asked.params.max_tokens))
    with open_sampler(asked, engine, prompt) as sampler, SharedChecker() as checker:
        for source in asked.sets:
            found = {}
            for name, adapter in zip(asked.names, asked.adapters, strict=True):
                place = places[source, name]
                found[name] = _evaluate(asked, sampler, prompt, checker, source, adapter, place)
            if not asked.single and ranks.is_first():
                results, names, folder = list(found.values()), list(found), place.parent
                save_report(folder / "report.html", results, names)
                save_plot(folder / "pass_at_k.png", results, names)
            yield {name: results for name, (results, _) in found.items()}


def open_sampler(asked: Asked, engine: dict[str, Any], prompt: PromptTemplate) -> Sampler:
    """The sampler; each process its own, but servers are asked by the first one for all."""
    servers = pick_backend(asked.backend) == "vllm-server"
    alone = servers and not ranks.is_first()
    sampler = None if alone else load_sampler(asked.backend, asked.model, **engine)
    if ranks.size() == 1 and sampler is not None:
        return sampler
    return SharedSampler(sampler, prompt.tokenizer)


def engine_options(asked: Asked) -> dict[str, Any]:
    """What the sampling engine is opened with; raises UserError for what it does not know.

    vLLM reserves room for adapters of one greatest rank, here that of the adapters asked for.
    """
    adapters = [check_adapter(a, asked.model) for a in asked.adapters if a is not None]
    options = {"dtype": asked.dtype, **asked.options}
    refuse_unknown(asked.backend, asked.options, "--options")
    if adapters and pick_backend(asked.backend) != "torch":
        options.setdefault("max_lora_rank", max(map(adapter_rank, adapters)))
    return options


def adapter_rank(settings: dict[str, Any]) -> int:
    """The greatest rank in an adapter's configuration."""
    return max([int(settings["r"]), *map(int, (settings.get("rank_pattern") or {}).values())])


def _evaluate(
    asked: Asked,
    sampler: Sampler,
    prompt: PromptTemplate,
    checker: Checker,
    source: str,
    adapter: str | None,
    place: Path,
) -> Result:
    problems = asked.sets[source]
    question = {
        "model": asked.model,
        "adapter": adapter,
        "data": source,
        "problems": [(p.id, p.question, p.answer, p.messages) for p in problems],
        "n": asked.n,
        "params": dataclasses.asdict(asked.params),
        "prompt": prompt.describe(),
        "engine": [sampler.backend, asked.dtype, asked.options],
    }
    journal = Journal(place, question) if ranks.is_first() else None
    sampler.update_adapter(adapter)
    results, samples = evaluate(
        sampler,
        problems,
        prompt,
        checker,
        asked.params,
        n=asked.n,
        ks=asked.ks,
        model=asked.model,
        adapter=adapter,
        data=source,
        journal=journal,
    )

    def more(folder: Path) -> None:
        save_report(folder / "report.html", [(results, samples)], [Path(adapter or BASE).name])
        if asked.export:
            export_samples(folder / "samples_lm_eval.jsonl", samples, problems, prompt)

    if journal:
        save_result(place, results, samples, more)
        journal.close()
    return ranks.first(load_result(place) if ranks.is_first() else (results, samples))
