"""`python benchmarks/mismatch.py BASE OUT [STEPS [SEEDS [PROBLEMS [WRONG]]]]`: a wrong sampler.

GRPO trains the tiny base (a folder, as `make demo` leaves one in runs/) while the sampler is wrong on
purpose: it draws at another temperature than the trainer is told (`1.1`, `1.5` in place of 1), from a
truncated distribution (`top_p 0.9`), in another precision (`bfloat16`), or with an adapter that is
handed to it every K steps only (`stale 10`). It reports the log-probs of what it drew, as a real
engine does whose numbers differ. Each wrong sampler trains with the correction off
and on, and beside them a right one; then held-out problems × 8 samples, at temperature 1. Writes
OUT/mismatch.md: gains over the base, and the difference to the right sampler, paired by problem over
all seeds, with 95% intervals. Finished runs in OUT are kept.
"""

import dataclasses
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy
import pandas

sys.path[0] = str(Path(__file__).parents[1])

from common.errors import UserError, run_command
from common.files import write_text
from data import PromptTemplate, load_problems
from eval.harness import sample_problems
from eval.intervals import Estimate, difference_interval
from rewards import Checker
from sampling import Sampler, SamplingParams, load_sampler
from train.config import TrainConfig, check_config
from train.records.metrics import read_metrics
from train.run import Run, train

RIGHT = "right"
STALE = "stale "
TOP_P = "top_p "
WRONG = re.compile(rf"{STALE}[1-9]\d*|{TOP_P}0\.\d*[1-9]\d*|bfloat16|\d+(?:\.\d+)?")
CORRECTIONS = ("off", "token")
N = 8


def run(base: str, out: Path, name: str, steps: int, seed: int) -> Path:
    """Train once, unless it is there; returns the last checkpoint."""
    wrong, correction = ("1.0", "off") if name == RIGHT else name.split(", ")
    folder = out / f"{name.replace(', ', '-').replace(' ', '')}-seed{seed}"
    last = folder / "checkpoints" / f"step_{steps:06d}"
    if last.is_dir():
        return last
    shutil.rmtree(folder, ignore_errors=True)  # begun, and never finished
    settings = {
        "run": {
            "dir": str(folder), "steps": steps, "save_every": steps, "seed": seed,
            "save_rollouts": False,
        },
        "model": {"path": base},
        "lora": {"rank": 32, "alpha": 64},
        "data": {"train": "synth:train,n=20000,seed=1"},
        "sampling": {"backend": "torch", "max_tokens": 80},
        "rollout": {"prompts": 16, "completions": 16},
        "algorithm": {"correction": "none" if correction == "off" else correction},
        "optimizer": {"lr": 1e-3, "warmup_steps": min(3, steps)},
    }  # fmt: skip
    trainer = Run(check_config(TrainConfig, settings, where="the benchmark"))
    if wrong == "bfloat16":
        sample_apart(trainer, load_sampler("torch", base, dtype=wrong))
    elif wrong.startswith(STALE):
        sample_apart(trainer, load_sampler("torch", base), int(wrong.removeprefix(STALE)))
    else:
        top_p = wrong.startswith(TOP_P)
        drawn = {"top_p" if top_p else "temperature": float(wrong.removeprefix(TOP_P))}
        told = trainer.rollouts._params
        trainer.rollouts._params = (  # type: ignore[method-assign]
            lambda seed: dataclasses.replace(told(seed), **drawn)
        )
    train(trainer)
    return last


def sample_apart(trainer: Run, apart: Sampler, every: int = 1) -> None:
    """Let a sampler of its own draw, which is given the adapter only every so many steps."""
    rollouts = trainer.rollouts

    def update_adapter(policy: Any, step: int) -> None:
        if step % every == 0:
            served = Path(trainer.config.run.dir) / "served" / str(step)
            policy.save_pretrained(served)
            apart.update_adapter(served)
            rollouts._served = step

    rollouts.sampler = apart
    rollouts.update_adapter = update_adapter  # type: ignore[method-assign]


def rates(
    base: str, adapter: Path | None, problems: int, seed: int, kept: Path
) -> numpy.ndarray[Any, numpy.dtype[numpy.float64]]:
    """The share right of each held-out problem."""
    if not kept.is_file():
        name = str(adapter) if adapter else None
        with load_sampler("torch", base, adapter=name) as sampler, Checker() as checker:
            samples = sample_problems(
                sampler,
                load_problems(f"synth:heldout,n={problems},seed=0"),
                PromptTemplate(sampler.tokenizer),
                checker,
                SamplingParams(max_tokens=80, seed=seed),
                N,
            )
        samples.to_parquet(kept)
    return pandas.read_parquet(kept).groupby("problem", sort=True)["reward"].mean().to_numpy()


def main(
    base: str,
    out: str,
    steps: str = "40",
    seeds: str = "3",
    problems: str = "200",
    wrong: str = "1.1,1.5,stale 10",
) -> None:
    folder, kinds = Path(out), wrong.split(",")
    if bad := [k for k in kinds if not WRONG.fullmatch(k)]:
        raise UserError(
            f"'{bad[0]}' is no wrong sampler: a temperature, 'top_p P', 'bfloat16' or 'stale K'"
        )
    if not Path(base, "config.json").is_file():
        raise UserError(f"{base}: no model here (config.json is missing)")
    names = [RIGHT, *(f"{kind}, {c}" for kind in kinds for c in CORRECTIONS)]
    folder.mkdir(parents=True, exist_ok=True)
    before = rates(base, None, int(problems), 0, folder / "base.parquet")
    found: dict[str, list[Any]] = {name: [] for name in names}
    gaps: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(int(seeds)):
        for name in names:
            last = run(base, folder, name, int(steps), seed)
            kept = last.parents[1] / "held_out.parquet"
            found[name].append(rates(base, last, int(problems), seed, kept))
            gaps[name] += [float(x["sampler_kl"] or 0) for x in read_metrics(last.parents[1])]
            print(f"{name}, seed {seed}: {found[name][-1].mean():.3f}", flush=True)
    lines = [
        f"pass@1 of the base {before.mean():.3f}; {steps} steps, {seeds} seeds, "
        f"{problems} held-out problems × {N} samples\n",
        "| sampler, correction | sampler_kl | pass@1 | gain over the base "
        "| against the right sampler | each seed |",
        "|---|---|---|---|---|---|",
    ]
    right = found[RIGHT]
    for name, each in found.items():
        mean = numpy.mean(each, axis=0)
        apart = [float((x - y).mean()) for x, y in zip(each, right, strict=True)]
        beside = "" if name == RIGHT else _signed(difference_interval(numpy.mean(right, 0), mean))
        lines.append(
            f"| {name} | {numpy.mean(gaps[name]):.4f} | {mean.mean():.3f} "
            f"| {_signed(difference_interval(before, mean))} | {beside} "
            f"| {'' if name == RIGHT else ', '.join(f'{x:+.3f}' for x in apart)} |"
        )
    for kind in kinds:
        off, on = (numpy.mean(found[f"{kind}, {c}"], 0) for c in CORRECTIONS)
        lines.append(f"\n{kind}, token − off: {_signed(difference_interval(off, on))}")
    write_text(folder / "mismatch.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def _signed(found: Estimate) -> str:
    return f"{found.mean:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    run_command(lambda words: main(*words))
