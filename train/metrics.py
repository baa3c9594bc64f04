"""The record of a run: metrics.jsonl and TensorBoard, a line a step."""

import importlib
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from common.files import write_text

Metrics = dict[str, float | int | None]


class MetricsLog:
    """Appends metrics to `RUN/metrics.jsonl` and to `RUN/tensorboard`."""

    def __init__(self, run: Path, *, resume_after: int = 0, trackers: Sequence[str] = ()):
        """`resume_after`: lines of later steps, left by a dead process, are dropped.

        `trackers` (wandb, trackio) get every line too; raises UserError if one is not installed.
        """
        self._trackers = [_open_tracker(name, run) for name in trackers]
        from torch.utils.tensorboard import SummaryWriter

        self.path = run / "metrics.jsonl"
        kept = [line for line in read_metrics(run) if int(line["step"] or 0) <= resume_after]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._board = SummaryWriter(run / "tensorboard", purge_step=resume_after + 1)

    def write(self, metrics: Metrics) -> None:
        """Append one line and flush it."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        told = {k: v for k, v in metrics.items() if k != "step" and v is not None}
        for name, value in told.items():
            self._board.add_scalar(name, value, metrics["step"])
        for tracker in self._trackers:
            tracker.log(told, step=metrics["step"])

    def close(self) -> None:
        self._board.close()
        for tracker in self._trackers:
            tracker.finish()


def _open_tracker(name: str, run: Path) -> Any:
    """wandb and trackio, which share an interface."""
    try:
        tracker = importlib.import_module(name)
    except ImportError:
        raise UserError(f"the tracker '{name}' is not installed: pip install {name}") from None
    tracker.init(project="mathgrpo", name=run.name)
    return tracker


def read_metrics(run: Path) -> list[Metrics]:
    """The metrics of a run, without a last line that was cut off."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        return []
    lines: list[Metrics] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def peak_memory_gib() -> float:
    """Peak memory in GiB: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def progress_note(metrics: Metrics) -> str:
    """The numbers beside the progress bar."""
    parts = [
        f"reward {metrics['reward/mean']:.2f}",
        f"tokens {metrics['completion/mean_tokens']:.0f}",
    ]
    if metrics["kl"] is not None:
        parts.insert(1, f"KL {metrics['kl']:.4f}")
    if "eval/pass@1" in metrics:
        parts.append(f"held-out pass@1 {metrics['eval/pass@1']:.3f}")
    return "  ".join(parts)
