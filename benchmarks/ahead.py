"""`python benchmarks/ahead.py BASE [STEPS [SEEDS]]`: rollouts a step ahead beside rollouts in time.

Both with the embedded sampler in a process of its own and one thread, so that the cores are the
same: in time it waits while the trainer learns, ahead it samples. Prints steps a minute of both, the
ratio, and pass@1 on held-out problems after equal steps with the paired difference, for each seed.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import tempfile
import time

import torch

from data import PromptTemplate, load_problems
from eval.compare import compare
from eval.harness import evaluate
from rewards import Checker
from sampling import SamplingParams, load_sampler
from sampling.process import SamplerProcess
from train import build
from train.config import TrainConfig, check_config
from train.records.metrics import read_metrics
from train.run import Run, train

HELD_OUT = "synth:heldout,n=300"


def settings(base: str, folder: Path, steps: int, seed: int, ahead: int) -> TrainConfig:
    """The same work, but for when the rollouts are sampled."""
    raw = {
        "run": {"dir": str(folder), "steps": steps, "seed": seed, "save_every": steps},
        "model": {"path": base},
        "lora": {"rank": 32, "alpha": 64},
        "data": {"train": "synth:train,n=4000"},
        "sampling": {
            "backend": "torch",
            "max_tokens": 80,
            "options": {"threads": 1} if ahead else {},
        },
        "rollout": {"prompts": 16, "completions": 16, "ahead": ahead},
        "algorithm": {"loss": "dapo", "correction": "token"},
        "optimizer": {"lr": 5e-4},
    }
    return check_config(TrainConfig, raw, where="benchmark")


def sampler_apart(policy, tokenizer, config, log, room):
    """In time, but in a process: what `build.open_sampler` opens a step ahead."""
    sampler = SamplerProcess(config.model.path, dtype=config.model.dtype, threads=1)
    sampler.update_adapter(policy)
    return sampler


def trained(config: TrainConfig) -> tuple[float, Path]:
    """Seconds a step, after the first three; the last checkpoint."""
    run, ends = Run(config), list[float]()
    plain = run.record

    def record(*words):
        plain(*words)
        ends.append(time.perf_counter())

    run.record = record
    train(run)
    return (ends[-1] - ends[2]) / (len(ends) - 3), run.folder.checkpoint(config.run.steps)


def measured(base: str, adapter: Path | None):
    problems = load_problems(HELD_OUT)
    with load_sampler("torch", base, adapter=adapter) as sampler, Checker() as checker:
        return evaluate(
            sampler,
            problems,
            PromptTemplate(sampler.tokenizer),
            checker,
            SamplingParams(max_tokens=80),
            n=8,
            ks=[1],
            model=base,
            adapter=str(adapter),
            data=HELD_OUT,
            quiet=True,
        )


def main(base: str, steps: int, seeds: int) -> None:
    torch.set_num_threads(1)
    for seed in range(seeds):
        found = {}
        for ahead in (0, 1):
            with tempfile.TemporaryDirectory() as name:
                config = settings(base, Path(name) / "run", steps, seed, ahead)
                if not ahead:
                    build.open_sampler, kept = sampler_apart, build.open_sampler
                seconds, checkpoint = trained(config)
                if not ahead:
                    build.open_sampler = kept
                old = {line["staleness"] for line in read_metrics(Path(config.run.dir))[1:]}
                found[ahead] = seconds, measured(base, checkpoint), old
        (slow, before, _), (fast, after, old) = found[0], found[1]
        print(
            f"seed {seed}: {60 / slow:.1f} steps a minute in time, {60 / fast:.1f} ahead: "
            f"{slow / fast:.2f} times; staleness {old}"
        )
        print("  pass@1, ahead − in time: " + compare(before, after).lines()[0])


if __name__ == "__main__":
    words = sys.argv[1:]
    main(words[0], *(int(w) for w in words[1:]), *(30, 3)[len(words) - 1 :])
