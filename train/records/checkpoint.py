"""Checkpoints: an adapter that loads anywhere, and what it takes to go on as if never stopped.

Random numbers and the order of the data follow from seed and step alone, so the step is all
that has to be remembered of them.
"""

import hashlib
import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from common.errors import FULL, UserError
from common.files import Contents, whole_folder, write_text
from models.loading import write_base_note
from train.policy import Policy

CHECKSUMS = "checksums.json"
STATE = "trainer_state.pt"
CONTENTS = Contents(  # no marks: a damaged checkpoint may lack any of them
    command="a checkpoint",
    marks=(),
    others=("adapter_*", "base.json", "README.md", STATE, CHECKSUMS),
)
SPARE = 1 << 20  # bytes free, below which a disk counts as full


def save_checkpoint(
    folder: Path, policy: Policy, state: dict[str, Any], base: str, card: str
) -> None:
    """Write the adapter, its model `card` and the trainer's `state`, whole or not at all."""
    try:
        with whole_folder(folder, CONTENTS) as temporary:
            policy.save_pretrained(temporary)
            write_text(temporary / "README.md", card)  # in place of PEFT's empty one
            write_base_note(temporary, base)
            torch.save(state, temporary / STATE)
            sums = {file.name: _checksum(file) for file in sorted(temporary.iterdir())}
            write_text(temporary / CHECKSUMS, json.dumps(sums, indent=1) + "\n")
    except Exception as error:  # torch and safetensors say in their own kinds that a disk is full
        if isinstance(error, OSError) and error.errno not in FULL:
            raise
        if not isinstance(error, OSError) and shutil.disk_usage(folder.parent).free > SPARE:
            raise
        raise UserError(
            f"{folder}: the disk is full; earlier checkpoints are whole. Make room, then resume"
        ) from error


def remove_old(run: Path, keep_last: int | None, best: Path | None) -> None:
    """Remove all checkpoints but the last few and the best."""
    if keep_last is None:
        return
    for folder in sorted((run / "checkpoints").glob("step_*"))[:-keep_last]:
        if folder != best:
            shutil.rmtree(folder)


def latest_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint; damaged ones are passed over with a word. None: none so far.

    Raises UserError if all are damaged.
    """
    folders = sorted((run / "checkpoints").glob("step_*"), reverse=True)
    for folder in folders:
        if (damage := _damage(folder)) is None:
            return folder
        print(f"warning: {folder} is damaged ({damage}); trying the one before", file=sys.stderr)
    if folders:
        raise UserError(f"{run}: no checkpoint is whole; to begin again, remove them")
    return None


def load_state(folder: Path) -> dict[str, Any]:
    """The trainer's state in a checkpoint."""
    try:
        return torch.load(folder / STATE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{folder}: the trainer state cannot be read ({error})") from error


def remove_leftovers(run: Path) -> None:
    """Remove what a killed process left half-written in a run."""
    for leftover in [*run.glob("**/.*.tmp"), *run.glob("**/.*.old")]:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _checksum(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _damage(folder: Path) -> str | None:
    try:
        sums = json.loads((folder / CHECKSUMS).read_text())
    except (OSError, ValueError):
        return f"{CHECKSUMS} cannot be read"
    for name, expected in sums.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if _checksum(file) != expected:
            return f"{name} does not match its checksum"
    return None
