"""Several adapters on several sets: the base is loaded once, each result saved when done."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.files import make_folder
from data import Problem, PromptTemplate
from data.load import set_name
from eval.export import export_samples
from eval.harness import Protocol, sample_problems
from eval.journal import Journal
from eval.report import save_plot, save_report
from eval.result import load_result, save_result, summarize
from rewards import Checker
from sampling import Sampler, load_sampler
from sampling.model import check_adapter


@dataclasses.dataclass(frozen=True)
class Asked:
    """What `python -m eval` was asked to do. None among the adapters is the base itself."""

    model: str
    adapters: list[str | None]
    sets: dict[str, list[Problem]]
    protocol: Protocol
    ks: list[int]
    template: str = "auto"
    shots: int = 0
    backend: str = "auto"
    export: bool = False

    @property
    def names(self) -> list[str]:
        """A short name for each adapter, unlike the others."""
        paths = [Path(a) if a else None for a in self.adapters]
        short = [p.resolve().name if p else "base" for p in paths]
        return [
            name if short.count(name) == 1 else str(adapter).strip("/.").replace("/", "-")
            for name, adapter in zip(short, self.adapters, strict=True)
        ]


def evaluate_all(asked: Asked, out: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Evaluate; yields for each set the results by name.

    One adapter on one set is saved in `out` itself, others in `out/SET/NAME`, with one report of
    all beside them. What an earlier, identical call finished is not done again.
    """
    single = len(asked.adapters) == len(asked.sets) == 1
    for adapter in asked.adapters:
        if adapter is not None:
            check_adapter(adapter, asked.model)  # before the model is loaded
    make_folder(out.parent if single else out)
    with load_sampler(asked.backend, asked.model) as sampler, Checker() as checker:
        for source, problems in asked.sets.items():
            folder = out if single else out / set_name(source)
            found = {}
            for name, adapter in zip(asked.names, asked.adapters, strict=True):
                place = folder if single else folder / name
                _evaluate(asked, sampler, checker, source, problems, adapter, place)
                found[name] = load_result(place)
            if not single:
                results, names = list(found.values()), list(found)
                save_report(folder / "report.html", results, names)
                save_plot(folder / "pass_at_k.png", results, names)
            yield {name: results for name, (results, _) in found.items()}


def _evaluate(
    asked: Asked,
    sampler: Sampler,
    checker: Checker,
    source: str,
    problems: list[Problem],
    adapter: str | None,
    place: Path,
) -> None:
    how = {
        "template": asked.template,
        "shots": asked.shots,
        "max_tokens": asked.protocol.max_tokens,
    }
    question = {
        "model": asked.model,
        "adapter": adapter,
        "data": source,
        "problems": [(p.id, p.question, p.answer) for p in problems],
        "protocol": dataclasses.asdict(asked.protocol),
        **how,
    }
    journal = Journal(place, question)
    sampler.update_adapter(adapter)
    template = PromptTemplate(sampler.tokenizer, asked.template, shots=asked.shots)
    samples = sample_problems(sampler, problems, template, checker, asked.protocol, journal=journal)
    results = summarize(
        samples,
        asked.ks,
        model=asked.model,
        adapter=adapter,
        data=source,
        seed=asked.protocol.seed,
        temperature=asked.protocol.temperature,
        **how,
    )

    def more(folder: Path) -> None:
        save_report(folder / "report.html", [(results, samples)], [Path(adapter or "base").name])
        if asked.export:
            export_samples(folder / "samples_lm_eval.jsonl", samples, template)

    save_result(place, results, samples, more)
    journal.close()
