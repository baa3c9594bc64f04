"""`python benchmarks/grpo_step.py BASE [STEPS [SEEDS [FIRST]]]`: our GRPO beside TRL's, in one run.

Same tiny base model (a folder, as `make demo` leaves one in runs/), LoRA weights to begin with,
problems in the same order, reward, group size, lengths and optimiser. Prints seconds a step for
sampling and training, steps a minute, and pass@1 on 500 held-out problems after the same number of
steps, for each seed from FIRST on; then the mean difference over seeds, its interval over seeds too.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room


import tempfile
import time
from typing import Any

import pandas

from benchmarks.peer_trl import grpo_trainer, save_adapter, timed
from data import PromptTemplate, load_problems
from eval.compare import compare
from eval.harness import Protocol, sample_problems
from eval.intervals import Estimate, difference_interval
from eval.result import summarize
from rewards import Checker
from sampling import load_sampler
from train.config import TrainConfig, check_config
from train.metrics import read_metrics
from train.run import TrainRun

HELD_OUT = "synth:heldout,n=500,seed=0"


def settings(base: str, folder: Path, steps: int, seed: int) -> TrainConfig:
    """The work that both do."""
    raw = {
        "run": {"dir": str(folder), "steps": steps, "seed": seed, "save_every": steps},
        "model": {"path": base},
        "lora": {"rank": 32, "alpha": 64},
        "data": {"train": "synth:train,n=4000"},
        "sampler": {"backend": "torch", "max_tokens": 96},
        "grpo": {"prompts": 16, "completions": 16, "loss": "dapo"},
        "optimizer": {"lr": 5e-4},
    }
    return check_config(TrainConfig, raw, where="benchmark")


def ours(config: TrainConfig) -> tuple[float, float, float, Path]:
    """Seconds in all, and a step for sampling (rewards included) and training; the adapter."""
    run = TrainRun(config)
    begun = time.perf_counter()
    run.train()
    seconds = time.perf_counter() - begun
    lines = read_metrics(Path(config.run.dir))
    sampling = sum(x["time/sample_s"] + x["time/reward_s"] for x in lines) / len(lines)
    training = sum(x["time/train_s"] for x in lines) / len(lines)
    checkpoint = Path(config.run.dir) / "checkpoints" / f"step_{config.run.steps:06d}"
    return seconds, sampling, training, checkpoint


def theirs(config: TrainConfig, template: PromptTemplate) -> tuple[float, float, float, Path]:
    """The same for TRL."""
    trainer = grpo_trainer(config, load_problems(config.data.train), template)
    sampling = timed(trainer, "_generate_and_score_completions")
    begun = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - begun
    steps = config.run.steps
    folder = save_adapter(trainer, Path(config.run.dir) / "adapter")
    return seconds, sum(sampling) / steps, (seconds - sum(sampling)) / steps, folder


def evaluated(base: str, adapter: Path | None) -> tuple[dict[str, Any], pandas.DataFrame]:
    """The result on the held-out problems, 16 samples each."""
    sampler = load_sampler("torch", base, adapter=adapter)
    problems = load_problems(HELD_OUT)
    protocol = Protocol(n=16, temperature=1.0, max_tokens=96, seed=0)
    with Checker() as checker:
        samples = sample_problems(
            sampler, problems, PromptTemplate(sampler.tokenizer), checker, protocol, quiet=True
        )
    results = summarize(
        samples, [1], model=base, adapter=str(adapter), data=HELD_OUT, seed=0, temperature=1.0
    )
    return results, samples


def pass_at_1(result: tuple[dict[str, Any], pandas.DataFrame]) -> str:
    return str(Estimate(**result[0]["pass_at_k"]["1"]))


def main(base: str, steps: int, seeds: int, first: int) -> None:
    from sampling.model import load_tokenizer

    template = PromptTemplate(load_tokenizer(base))
    print(
        f"base: pass@1 {pass_at_1(evaluated(base, None))}; {steps} steps of 16 × 16 completions",
        flush=True,
    )
    rates: list[list[float]] = [[], []]
    for seed in range(first, first + seeds):
        per_minute, found = [], []
        for name in ("mathgrpo", "TRL"):
            with tempfile.TemporaryDirectory() as folder:
                config = settings(base, Path(folder) / "run", steps, seed)
                seconds, sampling, training, adapter = (
                    ours(config) if name == "mathgrpo" else theirs(config, template)
                )
                per_minute.append(60 * steps / seconds)
                found.append(evaluated(base, adapter))
                print(
                    f"seed {seed}  {name:<9} {per_minute[-1]:6.1f} steps a minute, a step: "
                    f"sampling {sampling:.2f} s, training {training:.2f} s; "
                    f"pass@1 {pass_at_1(found[-1])}",
                    flush=True,
                )
        difference = compare(found[1], found[0]).details[1]
        for of_one, (result, _) in zip(rates, found, strict=True):
            of_one.append(result["pass_at_k"]["1"]["mean"])
        print(
            f"seed {seed}  mathgrpo is {per_minute[0] / per_minute[1]:.2f} times as fast; pass@1, "
            f"mathgrpo - TRL, paired: {difference.estimate}, p = {difference.p_value:.2g}",
            flush=True,
        )
    if seeds > 1:
        print(f"{seeds} seeds: pass@1, mathgrpo - TRL: {difference_interval(rates[1], rates[0])}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    numbers = [int(word) for word in sys.argv[2:]]
    main(sys.argv[1], *[*numbers, *(60, 3, 0)[len(numbers) :]])
