"""Reading what lies under the runs folder: only regular files, all links followed, of a sane size.

A folder of runs may come from anywhere. What cannot be read is left out, never a traceback.
"""

import json
import math
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet

from common.errors import UserError

LARGEST_TEXT = 64 << 20  # bytes
TEXTS = ("problem", "question", "gold", "completion", "reason", "extracted", "read_as", "source",
         "level", "finish_reason")  # fmt: skip

Line = dict[str, float | None]


def within(path: Path, folder: Path) -> bool:
    """Whether `path` exists and, all links followed, lies in `folder`."""
    try:
        return path.exists() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


def is_file(path: Path, folder: Path) -> bool:
    """Whether `path` is a regular file in `folder`, all links followed."""
    return within(path, folder) and path.is_file()


def read_text(path: Path, folder: Path, most: int = LARGEST_TEXT) -> str:
    """The text of a regular file in `folder`; empty for anything else, cut after `most` bytes."""
    if not is_file(path, folder):
        return ""
    with open(path, "rb") as file:
        return file.read(most).decode("utf-8", errors="replace")


def read_metrics(run: Path) -> list[Line]:
    """The metrics of a run, by step: finite numbers and nulls only, without what is no line."""
    lines: list[Line] = []
    for line in read_text(run / "metrics.jsonl", run).splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and isinstance(found.get("step"), int):
            kept = {k: _finite(v) for k, v in found.items()}
            if kept["step"] is not None and 0 <= kept["step"] < 1e9:
                lines.append(kept)
    return lines


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def read_table(
    path: Path, folder: Path, columns: tuple[str, ...] | None = None
) -> pandas.DataFrame:
    """A Parquet file as a table of plain values: texts as texts, rewards as numbers.

    Columns that are missing stay missing. Raises UserError for what is no such file.
    """
    if not is_file(path, folder):
        raise UserError(f"{path.name} is not there")
    try:
        known = pyarrow.parquet.read_schema(path).names
        wanted = [c for c in known if columns is None or c in columns or c.startswith("reward/")]
        return plain(pandas.read_parquet(path, columns=wanted))
    except UserError:
        raise
    except Exception as error:  # pyarrow and pandas raise many kinds for a broken file
        raise UserError(f"{path.name} cannot be read") from error


def plain(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Texts made texts (None stays None), numbers made numbers; UserError where they are none."""
    for name in rows.columns:
        if name in TEXTS:
            column = rows[name].astype(object)
            rows[name] = [v if isinstance(v, str) else _text(v) for v in column]
        elif name in ("reward", "advantage", "tokens") or str(name).startswith("reward/"):
            try:
                rows[name] = pandas.to_numeric(rows[name])
            except (TypeError, ValueError) as error:
                raise UserError(f"the column {name} holds no numbers") from error
    return rows


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value)[:1000]
