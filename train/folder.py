"""The folder of a run: opened new, or opened again to go on."""

import sys
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import make_folder, write_text
from train.checkpoint import latest_checkpoint, remove_leftovers
from train.config import TrainConfig, load_config, to_toml

# What may differ between a run and its resumption: how long it goes on, what it keeps, and what it
# takes (these move the last digits).
FREE = {
    "run": set("steps save_every save_rollouts dir keep_last show_completions trackers".split()),
    "model": {"gradient_checkpointing", "compile"},
    "sampler": {"options", "sleep", "kl_warning"},
    "optimizer": {"tokens_per_pass"},
    "eval": None,
}


def open_folder(folder: Path, config: TrainConfig, *, resume: bool) -> Path | None:
    """Prepare a run's folder; returns the checkpoint to resume from, None to begin at step 1.

    A run that died before its first checkpoint is resumed from its beginning. Raises UserError
    when a new run would overwrite another, when there is nothing to resume, or when the
    configuration is not the one the run was started with.
    """
    begun = folder / "metrics.jsonl"
    if not resume:
        if begun.exists() or (folder / "checkpoints").exists():
            raise UserError(
                f"{folder} already holds a run; continue it with --resume, or choose another "
                "folder with --run.dir"
            )
        make_folder(folder)
        write_text(folder / "config.toml", to_toml(config))
        return None
    if not (folder / "config.toml").is_file():
        raise UserError(f"{folder}: no checkpoint to resume from; start without --resume")
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        print(f"{folder} has no checkpoint yet: it begins again at step 1", file=sys.stderr)
    remove_leftovers(folder)
    before = load_config(TrainConfig, folder / "config.toml")
    if differing := _differences(before.model_dump(), config.model_dump()):
        raise UserError(
            f"{folder}: the run was started with other settings ({'; '.join(differing)}); "
            "resume with the same, or start a new run"
        )
    write_text(folder / "config.toml", to_toml(config))
    return checkpoint


def resume_command(config: TrainConfig) -> str:
    """The command that continues a run."""
    return f"python -m train {config.run.dir}/config.toml --resume"


def warn(folder: Path, text: str) -> None:
    """Say something to whoever watches, and keep it in the run's `warnings.txt`."""
    print(f"warning: {text}", file=sys.stderr)
    with open(folder / "warnings.txt", "a", encoding="utf-8") as file:
        file.write(text + "\n")


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    found = []
    for section, values in now.items():
        free = FREE.get(section, set())
        if free is None:
            continue
        if not isinstance(values, dict):
            if before[section] != values:
                found.append(f"{section} was {before[section]!r}, now {values!r}")
            continue
        for key, value in values.items():
            if key not in free and before[section][key] != value:
                found.append(f"{section}.{key} was {before[section][key]!r}, now {value!r}")
    return found
