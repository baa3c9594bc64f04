"""Progress on stderr, one look for every room, by rank 0: a bar, or in a log some lines."""

import datetime
import os
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Seconds between two lines of a log.
LINE_EVERY = 30.0


def progress_bar(*, quiet: bool = False) -> Progress:
    """A rich progress bar with count, elapsed and remaining time, and a free `note` field.

    Where stderr is no terminal, as under nohup or SLURM, it is a line every `LINE_EVERY` seconds.
    """
    console = Console(file=sys.stderr)
    silent = quiet or os.environ.get("RANK", "0") != "0"
    kind = Progress if silent or console.is_terminal else _ProgressLines
    return kind(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=silent or not console.is_terminal,
    )


class _ProgressLines(Progress):
    """Draws nothing; what takes long says in a line how far it is."""

    def __init__(self, *columns: Any, **options: Any):
        super().__init__(*columns, **options)
        self._said = time.monotonic()

    def update(self, task_id: TaskID, **fields: Any) -> None:
        super().update(task_id, **fields)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        if time.monotonic() < self._said + LINE_EVERY:
            return
        self._said = time.monotonic()
        task = next(task for task in self.tasks if task.id == task_id)
        count = f"{task.description} {task.completed:.0f}/{task.total:.0f}"
        times = f"{_clock(task.elapsed)} gone, {_clock(task.time_remaining)} left"
        print(f"{count}  {times}  {task.fields['note']}".rstrip(), file=sys.stderr, flush=True)


def _clock(seconds: float | None) -> str:
    """Seconds as 0:01:30; the time left is unknown at first."""
    return "?" if seconds is None else str(datetime.timedelta(seconds=int(seconds)))
