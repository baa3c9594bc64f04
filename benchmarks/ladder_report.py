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


def report(base: str, out: Path, ladder: list[str], beside: dict[str, str], seeds: int) -> None:
    """Write ladder.json, ladder.md and ladder.png beside the runs.

    `beside` names GRPO's variants, each with the run it is to be compared with.
    """
    sampler = TorchSampler(base)
    found = {name: measured(out, name, seeds, sampler) for name in [*ladder, *beside]}
    write_text(out / "ladder.json", json.dumps(found, indent=1) + "\n")
    write_text(
        out / "ladder.md",
        table(
            "| | pass@1 | against the base, paired | each seed | pass@8 | KL a token | s a step | memory |",
            [
                f"{name} | {x['pass@1']} | {x['difference']} | "
                f"{', '.join(f'{d:+.3f}' for d in x['by seed'])} | {x['pass@8']} | {x['kl']:.3f} | "
                f"{x['seconds']:.2f} | {x['memory']:.1f} MB"
                for name, x in found.items()
                if name in ladder
            ],
        )
        + "\n"
        + table(
            "| | pass@1 | beside | paired difference | KL a token | tokens | groups without signal |",
            [
                f"{name} | {found[name]['pass@1']} | {other} | "
                f"{paired(out, other, name, seeds) if other != name else '–'} | "
                f"{found[name]['kl']:.3f} | {numpy.mean(found[name]['tokens']):.1f} | "
                f"{numpy.mean(found[name]['no signal']):.2f}"
                for name, other in beside.items()
            ],
        ),
    )
    plot(out, ladder, seeds)


def table(head: str, rows: list[str]) -> str:
    """A Markdown table."""
    return (
        "\n".join([head, "|---" * (head.count("|") - 1) + "|", *(f"| {r} |" for r in rows)]) + "\n"
    )


def plot(out: Path, ladder: list[str], seeds: int) -> None:
    """Rewards and groups without signal over the steps, each the mean of the seeds."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in ladder:
        runs = [read_metrics(folder) for folder in folders(out, name, seeds)]
        rewards = [[m["reward/mean"] for m in run] for run in runs]
        empty = [[m["groups/all_right"] + m["groups/all_wrong"] for m in run] for run in runs]
        left.plot(smooth(numpy.mean(rewards, axis=0)), label=name)
        right.plot(smooth(numpy.mean(empty, axis=0)))
    left.set(xlabel="step", ylabel="mean reward, smoothed over 7 steps")
    right.set(xlabel="step", ylabel="share of groups all right or all wrong")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(out / "ladder.png", dpi=110)


def paired(out: Path, a: str, b: str, seeds: int) -> str:
    """pass@1 of b minus a, both over all their seeds, paired by problem."""
    return str(difference_interval(*(mean_rates(out, name, seeds, 1) for name in (a, b))))


def mean_rates(out: Path, name: str, seeds: int, k: int) -> Any:
    """pass@k of each problem, the mean of the seeds."""
    rates = []
    for folder in folders(out, name, seeds):
        result, samples = load_result(folder / "held_out")
        rates.append(pass_at_k(result["n_samples"], right_counts(samples), k))
    return numpy.mean(rates, axis=0)


def folders(out: Path, name: str, seeds: int) -> list[Path]:
    """The runs of one algorithm, a seed each."""
    plain = name.replace(", ", "-").replace(" ", "_")
    return [out / f"{plain}-seed{seed}" for seed in range(seeds)]


def measured(out: Path, name: str, seeds: int, sampler: TorchSampler) -> dict[str, Any]:
    """What the table shows of an algorithm, its seeds together: problems are the unit."""
    mine = folders(out, name, seeds)
    results = [load_result(folder / "held_out") for folder in mine]
    start = load_result(out / "base")
    before = pass_at_k(start[0]["n_samples"], right_counts(start[1]), 1)
    runs = [read_metrics(folder) for folder in mine]
    return {
        "pass@1": str(mean_interval(mean_rates(out, name, seeds, 1))),
        "pass@8": str(mean_interval(mean_rates(out, name, seeds, 8))),
        "difference": str(difference_interval(before, mean_rates(out, name, seeds, 1))),
        "by seed": [compare(start, result).difference[1].mean for result in results],
        "no signal": [
            numpy.mean([m["groups/all_right"] + m["groups/all_wrong"] for m in run[-10:]])
            for run in runs
        ],
        "tokens": [r["mean_tokens"] for r, _ in results],
        "kl": float(numpy.mean([kl(sampler, f, r[1]) for f, r in zip(mine, results, strict=True)])),
        "seconds": float(
            numpy.median([m["time/sample_s"] + m["time/train_s"] for run in runs for m in run])
        ),
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
