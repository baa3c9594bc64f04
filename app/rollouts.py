"""The rollouts of a run: one step's groups, and a search through all of them.

A search needs every file of the run, so they are read once, in the background, into one table of
the columns searched; new steps of a run that still trains are added when somebody searches again.
"""

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from app.files import is_file, read_table
from app.runs import STEP
from common.errors import UserError

MOST_ROWS = 1_000_000  # of the newest steps
KINDS = {"all": "all", "right": "right", "wrong": "wrong", "unanswered": "no answer found",
         "truncated": "cut off"}  # fmt: skip
SCHEMA = pyarrow.schema(
    [
        ("step", pyarrow.int32()),
        ("row", pyarrow.int32()),
        ("question", pyarrow.large_string()),
        ("completion", pyarrow.large_string()),
        ("extracted", pyarrow.large_string()),
        ("finish_reason", pyarrow.large_string()),
        ("reward", pyarrow.float64()),
        ("advantage", pyarrow.float64()),
    ]
)


@dataclasses.dataclass(frozen=True)
class Hits:
    """What a search found: the first rows, how many there are, and how much was searched."""

    rows: pandas.DataFrame
    total: int
    searched: int
    unread: int  # files still to read, or that cannot be read


def step_file(run: Path, step: int) -> Path:
    """The file of a step's rollouts."""
    return run / "rollouts" / f"step_{step:06d}.parquet"


def read_step(run: Path, step: int) -> pandas.DataFrame:
    """The rollouts of one step, with what the page needs of them; raises UserError."""
    if not is_file(step_file(run, step), run):
        raise UserError(f"no rollouts of step {step} were kept")
    rows = read_table(step_file(run, step), run)
    missing = [c for c in ("question", "gold", "completion", "reward") if c not in rows]
    if missing:
        raise UserError(f"the rollouts of step {step} lack {', '.join(missing)}")
    return rows


def groups_of(rows: pandas.DataFrame) -> list[pandas.DataFrame]:
    """The groups of a step, each the completions of one problem, as they lie one after another.

    Not by id or text alone: a step may draw a problem twice, and two problems may share an id.
    """
    names = [c for c in ("problem", "source", "question", "gold") if c in rows]
    told = rows[names].astype(str)
    begins = (told != told.shift()).any(axis=1)
    return [group for _, group in rows.groupby(begins.cumsum(), sort=False)]


class RolloutIndex:
    """All rollouts of one run, for searching."""

    def __init__(self, run: Path):
        self.run = run
        self._parts: dict[int, pyarrow.Table] = {}
        self._failed: set[int] = set()
        self._whole: pyarrow.Table = SCHEMA.empty_table()
        self._waiting = 0
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def begin(self, delay: float = 0.0) -> None:
        """Read in the background what is not read yet, after some seconds."""
        if delay:
            later = threading.Timer(delay, self.begin)
            later.daemon = True
            later.start()
        elif self._reading.acquire(blocking=False):
            threading.Thread(target=self._read, daemon=True).start()

    def search(self, words: str, kind: str, lowest: float, most: int, seconds: float) -> Hits:
        """Rows with all words in question or completion, of a kind, with at least a reward.

        What is not read after `seconds` is not searched; the hits say how much that is.
        """
        self.begin()
        if self._reading.acquire(timeout=seconds):
            self._reading.release()
        with self._lock:
            table, unread = self._whole, self._waiting + len(self._failed)
        c = pyarrow.compute
        keep: Any = c.greater_equal(c.fill_null(table["reward"], 0.0), lowest)
        for word in words.split():
            hit = c.or_(
                *(c.match_substring(c.fill_null(table[name], ""), word, ignore_case=True)
                  for name in ("completion", "question"))
            )  # fmt: skip
            keep = c.and_(keep, hit)
        if kind == "right":
            keep = c.and_(keep, c.greater(table["reward"], 0))
        elif kind == "wrong":
            keep = c.and_(keep, c.less_equal(table["reward"], 0))
        elif kind == "unanswered":
            keep = c.and_(keep, c.is_null(table["extracted"]))
        elif kind == "truncated":
            keep = c.and_(keep, c.equal(c.fill_null(table["finish_reason"], ""), "length"))
        places = c.indices_nonzero(keep)
        rows = table.take(places[-most:][::-1] if len(places) else places).to_pandas()
        return Hits(rows, len(places), len(table), unread)

    def _read(self) -> None:
        try:
            files = {
                int(found[1]): file
                for file in self.run.glob("rollouts/step_*.parquet")
                if (found := STEP.fullmatch(file.stem))
            }
            wanted = [s for s in sorted(files, reverse=True) if s not in self._parts]
            wanted = [s for s in wanted if s not in self._failed]
            rows = sum(len(part) for part in self._parts.values())
            for place, step in enumerate(wanted):
                with self._lock:
                    self._waiting = len(wanted) - place
                if rows > MOST_ROWS:
                    break
                part = _read_part(files[step], self.run, step)
                if part is None:
                    self._failed.add(step)
                else:
                    self._parts[step] = part
                    rows += len(part)
            if wanted:
                parts = [self._parts[step] for step in sorted(self._parts)]
                whole = pyarrow.concat_tables(parts).combine_chunks() if parts else self._whole
                with self._lock:
                    self._whole, self._waiting = whole, 0
        finally:
            self._reading.release()


def _read_part(file: Path, run: Path, step: int) -> pyarrow.Table | None:
    """One step's columns in the index's form; None for a file that cannot be read."""
    try:
        if not is_file(file, run):
            return None
        known = pyarrow.parquet.read_schema(file).names
        found = pyarrow.parquet.read_table(
            file, columns=[n for n in SCHEMA.names if n in known], use_threads=False
        )
        columns: dict[str, Any] = {
            "step": pyarrow.array([step] * len(found), pyarrow.int32()),
            "row": pyarrow.array(range(len(found)), pyarrow.int32()),
        }
        for name, kind in zip(SCHEMA.names[2:], SCHEMA.types[2:], strict=True):
            column = found[name].cast(kind) if name in known else pyarrow.nulls(len(found), kind)
            columns[name] = column
        return pyarrow.table(columns, schema=SCHEMA)
    except (OSError, ValueError, pyarrow.ArrowException):
        return None


_indexes: dict[Path, RolloutIndex] = {}


def index_of(run: Path) -> RolloutIndex:
    """The index of a run; those of the two runs looked at last are kept."""
    known = _indexes.pop(run, None) or RolloutIndex(run)
    _indexes[run] = known
    while len(_indexes) > 2:
        _indexes.pop(next(iter(_indexes)))
    return known
