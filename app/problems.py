"""The problems one can pick: of a set, or those whose fate training changed."""

import functools
import random
from pathlib import Path

import pandas
import pyarrow.parquet

from app.results import find_results
from common.errors import UserError
from data import Problem, load_problems

FATES = {"fixed": "that training fixed", "broken": "that training broke"}
ANY = "any"
MOST = 2000  # of a set
COLUMNS = ["problem", "question", "gold", "level", "reward"]


class ProblemBook:
    """Sets to pick from: the app's own `data`, those of evaluations, fixed and broken ones."""

    def __init__(self, runs: Path, data: str):
        self.runs, self.data = runs, data
        self._own = functools.cache(lambda: load_problems(data, limit=MOST))

    def sources(self) -> list[str]:
        """What there is to pick from, the app's own set first."""
        names = [self.data]
        for run, sets in self._evaluations().items():
            for name, folders in sets.items():
                names.append(f"{run}: {name}")
                if len(folders) > 1:
                    names += [f"{run}: {name}, {fate}" for fate in FATES.values()]
        return names

    def levels(self, source: str | None) -> list[str]:
        """The levels of a set, by name."""
        found = {p.level for p in self._problems(source) if p.level is not None}
        return [ANY, *map(str, sorted(found))]

    def pick(
        self, source: str | None, level: str | None, at: int, move: int
    ) -> tuple[Problem, int]:
        """The problem `move` places on from place `at`, or a random one where `move` is 0.

        Returns it with its place, from 1. Raises UserError where there is none.
        """
        problems = self._problems(source)
        kept = [p for p in problems if level in (None, "", ANY, str(p.level))]
        if not kept:
            raise UserError("there is no such problem; choose another set or level")
        place = random.randrange(len(kept)) if move == 0 else (at - 1 + move) % len(kept)
        return kept[place], place + 1

    def _evaluations(self) -> dict[str, dict[str, list[Path]]]:
        """The result folders of each run and set: the base first, then the steps."""
        found: dict[str, dict[str, list[Path]]] = {}
        for result in find_results(self.runs):
            run, name = result.folder.parents[2].name, result.folder.parent.name
            found.setdefault(run, {}).setdefault(name, []).append(result.folder)
        return found

    def _problems(self, source: str | None) -> list[Problem]:
        if source in (None, "", self.data):
            return self._own()
        for run, sets in self._evaluations().items():
            for name, folders in sets.items():
                if source == f"{run}: {name}":
                    return _asked(_table(folders[0]))
                for fate, words in FATES.items():
                    if source == f"{run}: {name}, {words}":
                        return _changed(_table(folders[0]), _table(folders[-1]), fate)
        raise UserError("this set of problems is no longer there; reload the page")


def _table(folder: Path) -> pandas.DataFrame:
    """One row a problem: what it asks, and its rate of right answers."""
    return _read(folder / "samples.parquet", (folder / "results.json").stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(file: Path, _changed_at: int) -> pandas.DataFrame:
    try:
        known = pyarrow.parquet.read_schema(file).names
        samples = pandas.read_parquet(file, columns=[c for c in COLUMNS if c in known])
        rates = samples.groupby("problem", sort=False)["reward"].mean()
        return samples.drop_duplicates("problem").set_index("problem").assign(rate=rates)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file.parent.name}: this evaluation cannot be read") from error


def _changed(before: pandas.DataFrame, after: pandas.DataFrame, fate: str) -> list[Problem]:
    """Problems that most samples got right after training and not before, or the reverse."""
    rate = after["rate"].reindex(before.index)
    kept = {
        "fixed": (before["rate"] < 0.5) & (rate >= 0.5),
        "broken": (before["rate"] >= 0.5) & (rate < 0.5),
    }[fate]
    if not kept.any():
        raise UserError(f"there is no problem {FATES[fate]}")
    return _asked(before[kept])


def _asked(table: pandas.DataFrame) -> list[Problem]:
    levels = table["level"] if "level" in table else [None] * len(table)
    return [
        Problem(id=str(i), question=q, answer=a, level=None if pandas.isna(level) else level)
        for i, q, a, level in zip(
            table.index, table["question"], table["gold"], levels, strict=True
        )
    ]
