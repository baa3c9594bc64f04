"""The report of `benchmarks/ladder.py`: a table and a plot of finished runs; not run by itself."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy
from matplotlib.figure import Figure

from common.files import write_text
from data import PromptTemplate
from eval.compare import compare
from eval.intervals import difference_interval, mean_interval
from eval.passk import pass_at_k
from eval.result import load_result, right_counts
from sampling.torch_sampler import TorchSampler
from train.config import TrainConfig, load_config
from train.metrics import read_metrics
from train.run import TrainRun

KL_SAMPLES = 300


def report(base: str, out: Path, ladder: list[str], questions: list[str], seeds: int) -> None:
    """Write ladder.json, ladder.md and ladder.png beside the runs."""
    sampler = TorchSampler(base)
    found = {name: measured(out, name, seeds, sampler, base) for name in [*ladder, *questions]}
    write_text(out / "ladder.json", json.dumps(found, indent=1) + "\n")
    head = "| | pass@1 | against the base | pass@8 | KL | s a step | memory |\n|---|---|---|---|---|---|---|\n"
    rows = [
        f"| {name} | {x['pass@1']} | {x['difference']} | {x['pass@8']} | {x['kl']:.3f} | "
        f"{x['seconds']:.2f} | {x['memory']:.1f} MB |\n"
        for name, x in found.items()
    ]
    write_text(out / "ladder.md", head + "".join(rows))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in ladder:
        curves = [
            [m["reward/mean"] for m in read_metrics(folder)] for folder in folders(out, name, seeds)
        ]
        axes.plot(smooth(numpy.mean(curves, axis=0)), label=name)
    axes.set(xlabel="step", ylabel="mean reward, smoothed over 7 steps")
    axes.legend(ncols=2)
    figure.savefig(out / "ladder.png", dpi=110)


def folders(out: Path, name: str, seeds: int) -> list[Path]:
    """The runs of one algorithm, a seed each."""
    plain = name.replace(", ", "-").replace(" ", "_")
    return [out / f"{plain}-seed{seed}" for seed in range(seeds)]


def measured(out: Path, name: str, seeds: int, sampler: TorchSampler, base: str) -> dict[str, Any]:
    """What the table shows of an algorithm, its seeds together: problems are the unit."""
    mine = folders(out, name, seeds)
    results = [load_result(folder / "held_out") for folder in mine]
    start = load_result(out / "base")
    n = start[0]["n_samples"]
    rates = {
        k: numpy.mean([pass_at_k(n, right_counts(s), k) for _, s in results], axis=0)
        for k in (1, 8)
    }
    before = pass_at_k(n, right_counts(start[1]), 1)
    lines = [line for folder in mine for line in read_metrics(folder)]
    seconds = numpy.mean([m["time/sample_s"] + m["time/train_s"] for m in lines])
    single = [compare(start, result).difference[1].mean for result in results]
    return {
        "pass@1": str(mean_interval(rates[1])),
        "pass@8": str(mean_interval(rates[8])),
        "difference": str(difference_interval(before, rates[1])),
        "by seed": single,
        "no signal": [
            numpy.mean(
                [m["groups/all_right"] + m["groups/all_wrong"] for m in read_metrics(f)[-10:]]
            )
            for f in mine
        ],
        "tokens": [r["mean_tokens"] for r, _ in results],
        "kl": float(numpy.mean([kl(sampler, f, r[1]) for f, r in zip(mine, results, strict=True)])),
        "seconds": float(seconds),
        "memory": memory(mine[0]),
    }


def kl(sampler: TorchSampler, run: Path, samples: Any) -> float:
    """Mean log π/π_base a token over some of the run's own held-out samples (the k1 estimate)."""
    [adapter] = sorted((run / "checkpoints").glob("step_*"))
    template, total, tokens = PromptTemplate(sampler.tokenizer), 0.0, 0
    for row in samples.sample(KL_SAMPLES, random_state=0).itertuples():
        prompt, ids = template.encode(row.question), template.encode_target(row.completion)
        trained, before = (sampler.score(prompt, ids, x) for x in (adapter, None))
        total += sum(trained) - sum(before)
        tokens += len(ids)
    return total / tokens


def memory(run: Path) -> float:
    """MB of all weights, and of gradients and both moments of AdamW for those that are trained."""
    config = load_config(TrainConfig, run / "config.toml")
    with tempfile.TemporaryDirectory() as folder:
        config.run.dir = str(Path(folder) / "run")
        opened = TrainRun(config)
    networks = [opened.policy.model]
    critic, judge = (getattr(opened.algorithm, x, None) for x in ("critic", "judge"))
    networks += [x.own.model for x in (critic, judge) if x is not None and x.own is not None]
    weights = {id(p): p for network in networks for p in network.parameters()}
    trained = [p for p in weights.values() if p.requires_grad]
    size = sum(p.numel() * p.element_size() for p in weights.values())
    return (size + 12 * sum(p.numel() for p in trained)) / 1e6


def smooth(values: Any, width: int = 7) -> Any:
    """A running mean."""
    return numpy.convolve(values, numpy.ones(width) / width, mode="valid")
