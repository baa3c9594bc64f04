"""The folder of a run: the only place that knows where in it everything lies.

It is opened new, or opened again to resume, by one process at a time.
"""

import contextlib
import fcntl
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import ranks
from common.errors import UserError
from common.files import make_folder, write_text
from data.load import set_name
from train.config import TrainConfig, load_config, to_toml
from train.records.checkpoint import latest_checkpoint, remove_leftovers, remove_old

# What may differ between a run and its resumption: how long it goes on, what it keeps, and what it
# takes (these move the last digits). None: the whole section.
FREE: dict[str, set[str] | None] = {
    "run": set("steps save_every save_rollouts dir keep_last show_completions trackers".split()),
    "model": {"gradient_checkpointing", "compile"},
    "sampling": {"options", "sleep", "kl_warning"},
    "optimizer": {"tokens_per_pass"},
    "parallel": None,
    "eval": None,
}


class RunFolder:
    """`runs/NAME/`: config.toml, metrics.jsonl, rollouts, checkpoints, evaluations."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.toml"
        self.metrics = self.path / "metrics.jsonl"
        self.warnings = self.path / "warnings.txt"
        self.best = self.path / "best.json"
        self._data = self.path / "data.json"

    def rollout(self, step: int) -> Path:
        """Where the rollout of a step lies."""
        return self.path / "rollouts" / f"step_{step:06d}.parquet"

    def skipped_rollout(self, step: int) -> Path:
        """Where the rollout of a step without a finite gradient lies."""
        return self.path / "rollouts" / f"not_finite_{step:06d}.parquet"

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / "checkpoints" / f"step_{step:06d}"

    def evaluation(self, data: str, step: int) -> Path:
        """Where the evaluation on a problem set after a step lies; step 0 is the start."""
        name = self.checkpoint(step).name if step else "base"
        return self.path / "eval" / set_name(data) / name

    # -- opening

    def refuse_wrong_start(self, *, resume: bool) -> None:
        """Raise UserError for a new run that would overwrite another, or nothing to resume."""
        if resume and not self.config.is_file():
            raise UserError(f"{self.path}: no checkpoint to resume from; start without --resume")
        if not resume and (self.metrics.exists() or (self.path / "checkpoints").exists()):
            raise UserError(
                f"{self.path} already holds a run; continue it with --resume, or choose another "
                "folder with --run.dir"
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within, no other process can write this run; raises UserError if one does."""
        make_folder(self.path)
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"{self.path}: another process is training this run; wait for it, or stop it"
                ) from None
            yield

    def open(self, config: TrainConfig, data: str, *, resume: bool) -> Path | None:
        """Prepare the folder; returns the checkpoint to resume from, None to begin at step 1.

        `data` is the fingerprint of the training problems. A run that died before its first
        checkpoint is resumed from its beginning. Raises UserError when the configuration or the
        training problems are not those the run was started with.
        """
        if not resume:
            self._write(config, data)
            return None
        checkpoint = latest_checkpoint(self.path)
        if checkpoint is None:
            print(f"{self.path} has no checkpoint yet: it begins again at step 1", file=sys.stderr)
        remove_leftovers(self.path)
        before = load_config(TrainConfig, self.config)
        if differing := _differences(before.model_dump(), config.model_dump()):
            raise UserError(
                f"{self.path}: the run was started with other settings ({'; '.join(differing)}); "
                "resume with the same, or start a new run"
            )
        if self._data.is_file() and json.loads(self._data.read_text())["fingerprint"] != data:
            raise UserError(
                f"{self.path}: the problems of {config.data.name()} are not those the run was "
                "started with; restore them, or start a new run"
            )
        if checkpoint is not None:
            self._say_new_schedule(before, config)
        self._write(config, data)
        return checkpoint

    def _write(self, config: TrainConfig, data: str) -> None:
        write_text(self._data, json.dumps({"fingerprint": data}) + "\n")
        write_text(self.config, to_toml(config))

    def _say_new_schedule(self, before: TrainConfig, now: TrainConfig) -> None:
        """Other steps on resume stretch the schedule: the learning rate jumps."""
        if before.run.steps != now.run.steps and now.optimizer.schedule != "constant":
            self.warn(
                f"run.steps was {before.run.steps}, now {now.run.steps}: the learning rate "
                f"follows the {now.optimizer.schedule} schedule of the new length from here on, "
                "and jumps"
            )

    # -- keeping

    def warn(self, text: str) -> None:
        """Say something to whoever watches, and keep it in the run's `warnings.txt`."""
        print(f"warning: {text}", file=sys.stderr)
        with contextlib.suppress(OSError), open(self.warnings, "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def mark_best(self, data: str) -> None:
        """Keep in best.json which step did best in the evaluations so far, by the first k."""
        scores: dict[int, float] = {}
        for results in self.evaluation(data, 0).parent.glob("step_*/results.json"):
            first = next(iter(json.loads(results.read_text())["pass_at_k"].values()))
            scores[int(results.parent.name.removeprefix("step_"))] = first["mean"]
        if scores:
            step = max(scores, key=lambda s: (scores[s], -s))
            write_text(self.best, json.dumps({"step": step, "score": scores[step]}) + "\n")

    def remove_old(self, keep_last: int | None) -> None:
        """Remove all checkpoints but the last few and the best."""
        best = json.loads(self.best.read_text())["step"] if self.best.is_file() else None
        remove_old(self.path, keep_last, self.checkpoint(best) if best else None)


class SilentFolder(RunFolder):
    """The folder of a run as other ranks than the first see it: never read, never written."""

    def refuse_wrong_start(self, *, resume: bool) -> None:
        """Rank 0 does."""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def open(self, config: TrainConfig, data: str, *, resume: bool) -> Path | None:
        return None

    def warn(self, text: str) -> None:
        """Rank 0 says what concerns all."""

    def remove_old(self, keep_last: int | None) -> None:
        """Rank 0 does."""


def run_folder(path: str | Path) -> RunFolder:
    """The folder of a run; rank 0 alone reads and writes it."""
    return RunFolder(path) if ranks.is_first() else SilentFolder(path)


def was_begun(path: str | Path) -> bool:
    """Whether a run lies there that can be resumed, be it from its beginning."""
    return RunFolder(path).config.is_file()


def resume_command(config: TrainConfig) -> str:
    """The command that continues a run."""
    return f"python -m train {config.run.dir}/config.toml --resume"


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = []
    for section, values in now.items():
        free = FREE.get(section, set())
        if free is None:
            continue
        for key in {**before[section], **values}:
            was, is_now = before[section].get(key), values.get(key)
            if key not in free and was != is_now:
                found.append(f"{section}.{key} was {was!r}, now {is_now!r}")
    return found
