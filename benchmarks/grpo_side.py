"""`python benchmarks/grpo_side.py mathgrpo|trl FOLDER`: one side of grpo_step.py, alone in a process.

Trains by FOLDER/c.toml and writes FOLDER/measured.json: seconds, those of sampling, and tokens of
each step, the peak memory with the processes it started, and sums of the LoRA weights it began from. In a process
of its own neither imports nor caches of the other side count.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import contextlib
import dataclasses
import json
import resource
import time
from collections.abc import Iterable
from typing import Any

from common.errors import run_command
from data import PromptTemplate, load_problems
from models.loading import load_tokenizer
from train.config import TrainConfig, load_config


@dataclasses.dataclass
class Measured:
    """What one side took; the lists have a number a step."""

    seconds: list[float]
    sampling: list[float]  # of these: writing completions, and their rewards
    tokens: list[int]
    peak_mib: float  # of the process and those it started
    start: list[float]
    adapter: str


class Steps:
    """Notes the end of each step, and says now and then how far it is."""

    def __init__(self, name: str, count: int):
        self.name, self.count, self.ends = name, count, [time.perf_counter()]

    def end(self) -> None:
        self.ends.append(time.perf_counter())
        done = len(self.ends) - 1
        if done % max(1, self.count // 10) == 0:
            each = (self.ends[-1] - self.ends[0]) / done
            print(f"  {self.name}: step {done} of {self.count}, {each:.2f} s a step",
                  file=sys.stderr, flush=True)  # fmt: skip

    def seconds(self) -> list[float]:
        return [b - a for a, b in zip(self.ends[:-1], self.ends[1:], strict=True)]


def sums_of(parameters: Iterable[Any]) -> list[float]:
    """A sum for each trained weight, in an order that does not depend on names."""
    return sorted(float(p.detach().double().abs().sum()) for p in parameters if p.requires_grad)


def peak_mib() -> float:
    """The most memory this process has held at a time, and each that it started and still runs."""
    import psutil

    me = psutil.Process()
    if not Path("/proc/self/status").is_file():  # not on Linux: without those it started
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    peaks = []  # VmHWM, as ru_maxrss would count what the parent held before it became this process
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(OSError):  # ended since
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:")]
    return sum(peaks)


def ours(config: TrainConfig) -> Measured:
    """Our trainer."""
    from train.records.metrics import read_metrics
    from train.run import Run, train

    run = Run(config)
    start = sums_of(run.policy.model.parameters())
    plain, steps = run.record, Steps("mathgrpo", config.run.steps)
    peak = 0.0

    def record(*words: Any) -> None:
        nonlocal peak
        plain(*words)
        steps.end()
        if len(steps.ends) > config.run.steps:  # while the engine still runs
            peak = peak_mib()

    run.record = record  # type: ignore[method-assign]
    train(run)
    lines: list[dict[str, Any]] = [*read_metrics(run.folder.path)]
    size = config.rollout.prompts * config.rollout.completions
    return Measured(
        seconds=steps.seconds(),
        sampling=[x["time/sample_s"] + x["time/reward_s"] for x in lines],
        tokens=[round(x["completion/mean_tokens"] * size) for x in lines],
        peak_mib=peak,
        start=start,
        adapter=str(run.folder.checkpoint(config.run.steps)),
    )


def theirs(config: TrainConfig) -> Measured:
    """TRL's trainer."""
    from transformers import PrinterCallback, TrainerCallback

    from benchmarks.peer_trl import grpo_trainer, save_adapter, timed

    template = PromptTemplate(load_tokenizer(config.model.path))
    trainer, reward = grpo_trainer(config, load_problems(str(config.data.train)), template)
    start = sums_of(trainer.model.parameters())
    sampling = timed(trainer, "_generate_and_score_completions")
    steps = Steps("TRL", config.run.steps)

    class Ends(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            steps.end()

    trainer.add_callback(Ends())
    trainer.remove_callback(PrinterCallback)
    steps.ends[0] = time.perf_counter()
    trainer.train()
    adapter = save_adapter(trainer, Path(config.run.dir) / "adapter")
    return Measured(steps.seconds(), sampling, reward.tokens, peak_mib(), start, str(adapter))


def main(argv: list[str]) -> None:
    side, folder = argv[0], Path(argv[1])
    config = load_config(TrainConfig, folder / "c.toml")
    found = {"mathgrpo": ours, "trl": theirs}[side](config)
    (folder / "measured.json").write_text(json.dumps(dataclasses.asdict(found)))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    run_command(main)
