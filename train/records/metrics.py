"""The record of a run: metrics.jsonl and TensorBoard, a line a step."""

import importlib
import json
import os
import resource
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError, first_line
from common.files import write_text

Metrics = dict[str, float | int | None]


class MetricsLog:
    """Appends metrics to `RUN/metrics.jsonl`, then to TensorBoard and the trackers.

    The line in the file is the record; whatever fails after it costs a warning, not the step.
    """

    def __init__(
        self,
        run: Path,
        *,
        resume_after: int = 0,
        trackers: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        warn: Callable[[str], None] = print,
    ):
        """`resume_after`: lines of later steps, left by a dead process, are dropped.

        `trackers` (wandb, trackio) get every line too, and `config`; raises UserError if one is
        not installed. `warn` is told what fails.
        """
        self.path, self._warn = run / "metrics.jsonl", warn
        kept = [line for line in read_metrics(run) if int(line["step"] or 0) <= resume_after]
        self._lines = {int(line["step"] or 0): line for line in kept}
        self._write_all()
        self._boards: dict[str, Any] = {
            name: _Tracker(name, run, config or {}) for name in trackers
        }
        self._boards["tensorboard"] = _TensorBoard(run, resume_after)

    def write(self, metrics: Metrics) -> None:
        """Append the line of a step and flush it to the disk."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines[int(metrics["step"] or 0)] = metrics
        self._tell(int(metrics["step"] or 0), metrics)

    def amend(self, step: int, metrics: Metrics) -> None:
        """Add to the line of a step, such as what its evaluation found."""
        if step in self._lines:
            self._lines[step] = {**self._lines[step], **metrics}
            self._write_all()
        self._tell(step, metrics)

    def _write_all(self) -> None:
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in self._lines.values()))

    def _tell(self, step: int, metrics: Metrics) -> None:
        values = {k: v for k, v in metrics.items() if k != "step" and v is not None}
        for name, board in list(self._boards.items()):
            try:
                board.log(values, step=step)
            except Exception as error:  # whatever a tracker raises: the step is recorded
                del self._boards[name]
                self._warn(f"{name} failed and gets no more metrics ({first_line(error)})")

    def close(self) -> None:
        for name, board in self._boards.items():
            try:
                board.finish()
            except Exception as error:
                self._warn(f"{name} failed while closing ({first_line(error)})")


class _TensorBoard:
    def __init__(self, run: Path, resume_after: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(run / "tensorboard", purge_step=resume_after + 1)

    def log(self, values: dict[str, Any], *, step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self) -> None:
        self._writer.close()


class _Tracker:
    """wandb or trackio, which share an interface; a resumed run goes on as the same run there."""

    def __init__(self, name: str, run: Path, config: Mapping[str, Any]):
        try:
            self._module = importlib.import_module(name)
        except ImportError:
            raise UserError(f"the tracker '{name}' is not installed: pip install {name}") from None
        note = run / "tracker_id.txt"
        if not note.is_file():
            write_text(note, uuid.uuid4().hex[:12])
        more: dict[str, Any] = {"id": note.read_text()} if name == "wandb" else {}
        self._module.init(
            project="mathgrpo", name=run.name, config=dict(config), resume="allow", **more
        )

    def log(self, values: dict[str, Any], *, step: int) -> None:
        self._module.log(values, step=step)

    def finish(self) -> None:
        self._module.finish()


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
    """The numbers beside the progress bar, those that are known."""
    shown = (
        ("reward/mean", "reward {:.2f}"),
        ("kl", "KL {:.4f}"),
        ("completion/mean_tokens", "tokens {:.0f}"),
        ("eval/pass@1", "held-out pass@1 {:.3f}"),
    )
    known = [(text, metrics.get(key)) for key, text in shown]
    return "  ".join(text.format(value) for text, value in known if value is not None)
