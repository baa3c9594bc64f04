"""The record of a run: metrics.jsonl and TensorBoard, a line a step."""

import json
import resource
import sys
from pathlib import Path

import torch

from common.files import write_text

Metrics = dict[str, float | int | None]


class MetricsLog:
    """Appends metrics to `RUN/metrics.jsonl` and to `RUN/tensorboard`."""

    def __init__(self, run: Path, *, resume_after: int = 0):
        """`resume_after`: lines of later steps, left by a dead process, are dropped."""
        from torch.utils.tensorboard import SummaryWriter

        self.path = run / "metrics.jsonl"
        kept = [line for line in read_metrics(run) if int(line["step"] or 0) <= resume_after]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._board = SummaryWriter(run / "tensorboard", purge_step=resume_after + 1)

    def write(self, metrics: Metrics) -> None:
        """Append one line and flush it."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
        for name, value in metrics.items():
            if name != "step" and value is not None:
                self._board.add_scalar(name, value, metrics["step"])

    def close(self) -> None:
        self._board.close()


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
