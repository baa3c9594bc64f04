"""`python benchmarks/ladder_report.py BASE OUT`: tables and a plot of the ladder's finished runs.

`benchmarks/ladder.py` ends with it; by itself it tells of what is finished so far.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy
from matplotlib.figure import Figure

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

from benchmarks.ladder_table import BESIDE, LADDER
from common.files import write_text
from data import PromptTemplate
from eval.compare import compare
from eval.intervals import difference_interval, mean_interval
from eval.passk import pass_at_k
from eval.result import load_result
from eval.samples import right_counts
from sampling.torch_sampler import TorchSampler
from train.config import TrainConfig, load_config
from train.records.metrics import read_metrics
from train.run import Run

KL_SAMPLES = 100


def report(base: str, out: Path) -> None:
    """Write ladder.json, ladder.md and ladder.png beside the runs."""
    sampler = TorchSampler(base)
    names = [name for name in [*LADDER, *BESIDE] if folders(out, name)]
    found = {name: measured(out, name, sampler) for name in names}
    write_text(out / "ladder.json", json.dumps(found, indent=1) + "\n")
    ladder = table(
        "| | pass@1 | against the base, paired | each seed | pass@8 | KL a token | s a step | memory |",
        [
            f"{name} | {x['pass@1']} | {x['difference']} | "
            f"{', '.join(f'{d:+.3f}' for d in x['by seed'])} | {x['pass@8']} | {x['kl']:.3f} | "
            f"{x['seconds']:.2f} | {x['memory']:.1f} MB"
            for name, x in found.items()
            if name in LADDER
        ],
    )
    questions = table(
        "| | pass@1 | beside | paired difference | each seed | KL a token | tokens | groups without signal |",
        [
            f"{name} | {x['pass@1']} | {BESIDE[name]} | {paired(out, BESIDE[name], name)} | "
            f"{each_seed(found[BESIDE[name]], x)} | "
            f"{x['kl']:.3f} | {numpy.mean(x['tokens']):.1f} | {numpy.mean(x['no signal']):.2f}"
            for name, x in found.items()
            if name in BESIDE
        ],
    )
    write_text(out / "ladder.md", ladder + "\n" + questions)
    plot(out)


def table(head: str, rows: list[str]) -> str:
    """A Markdown table."""
    return (
        "\n".join([head, "|---" * (head.count("|") - 1) + "|", *(f"| {r} |" for r in rows)]) + "\n"
    )


def plot(out: Path) -> None:
    """Rewards and groups without signal over the steps, each the mean of the seeds."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in LADDER:
        runs = [read_metrics(folder) for folder in folders(out, name)]
        if not runs:
            continue
        rewards = [[m["reward/mean"] for m in run] for run in runs]
        left.plot(smooth(numpy.mean(rewards, axis=0)), label=name)
        right.plot(smooth(numpy.mean([no_signal(run) for run in runs], axis=0)))
    left.set(xlabel="step", ylabel="mean reward, smoothed over 7 steps")
    right.set(xlabel="step", ylabel="share of groups all right or all wrong")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper")
    figure.savefig(out / "ladder.png", dpi=110)


def no_signal(run: list[dict[str, Any]]) -> list[float]:
    """The share of groups all right or all wrong, step by step."""
    return [m["groups/all_right"] + m["groups/all_wrong"] for m in run]


def folders(out: Path, name: str) -> list[Path]:
    """The finished runs of one algorithm, a seed each."""
    plain = name.replace(", ", "-").replace(" ", "_")
    return sorted(p.parents[1] for p in out.glob(f"{plain}-seed*/held_out/results.json"))


def paired(out: Path, a: str, b: str) -> str:
    """pass@1 of b minus a over the seeds that both have, paired by problem."""
    seeds = min(len(folders(out, a)), len(folders(out, b)))
    if a == b:
        return "–"
    return str(difference_interval(*(mean_rates(folders(out, x)[:seeds], 1) for x in (a, b))))


def each_seed(a: dict[str, Any], b: dict[str, Any]) -> str:
    """pass@1 of b minus a, seed by seed."""
    pairs = zip(a["by seed"], b["by seed"], strict=False)
    return "–" if a is b else ", ".join(f"{y - x:+.3f}" for x, y in pairs)


def mean_rates(runs: list[Path], k: int) -> Any:
    """pass@k of each problem, the mean of the runs."""
    found = [load_result(run / "held_out") for run in runs]
    return numpy.mean(
        [pass_at_k(result["n_samples"], right_counts(rows), k) for result, rows in found], axis=0
    )


def measured(out: Path, name: str, sampler: TorchSampler) -> dict[str, Any]:
    """What the table shows of an algorithm, its seeds together: problems are the unit."""
    mine = folders(out, name)
    results = [load_result(folder / "held_out") for folder in mine]
    start = load_result(out / "base")
    before = pass_at_k(start[0]["n_samples"], right_counts(start[1]), 1)
    runs = [read_metrics(folder) for folder in mine]
    return {
        "pass@1": str(mean_interval(mean_rates(mine, 1))),
        "pass@8": str(mean_interval(mean_rates(mine, 8))),
        "difference": str(difference_interval(before, mean_rates(mine, 1))),
        "by seed": [compare(start, result).difference[1].mean for result in results],
        "no signal": [numpy.mean(no_signal(run)[-10:]) for run in runs],
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
        opened = Run(config)
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


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    report(sys.argv[1], Path(sys.argv[2]))
