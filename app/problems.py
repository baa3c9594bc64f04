"""The problems one can pick: of a set, or those that training fixed or broke."""

import functools
import random

import pandas

from app.results import Found, find_results, load, rates
from app.runs import Library
from common.errors import UserError
from data import Problem, load_problems

FATES = {"fixed": "fixed by training", "broken": "broken by training"}
ANY = "any"
MOST = 2000  # of a set


class ProblemBook:
    """Sets to pick from: the app's own `data`, those of evaluations, fixed and broken ones."""

    def __init__(self, library: Library, data: str):
        self.library, self.data = library, data
        self._own = functools.cache(lambda: load_problems(data, limit=MOST))

    def sources(self) -> list[str]:
        """What there is to pick from, the app's own set first."""
        names = [self.data]
        for group, results in self._groups().items():
            names.append(group)
            if len(results) > 1:
                names += [f"{group}, {fate}" for fate in FATES.values()]
        return names

    def levels(self, source: str | None) -> list[str]:
        """The levels of a set, by name."""
        found = {p.level for p in self._problems(source) if p.level is not None}
        return [ANY, *map(str, sorted(found, key=str))]

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

    def all(self, source: str | None) -> list[Problem]:
        """All problems of a set."""
        return self._problems(source)

    def _groups(self) -> dict[str, list[Found]]:
        """The results of each run and set, by training step."""
        found: dict[str, list[Found]] = {}
        for result in find_results(self.library):
            found.setdefault(result.group, []).append(result)
        return found

    def _problems(self, source: str | None) -> list[Problem]:
        if source in (None, "", self.data):
            return self._own()
        for group, results in self._groups().items():
            if source == group:
                return _asked(load(results[0])[1])
            for fate, words in FATES.items():
                if source == f"{group}, {words}" and len(results) > 1:
                    return _changed(load(results[0])[1], load(results[-1])[1], fate)
        raise UserError("this set of problems is no longer there; reload the page")


def _changed(before: pandas.DataFrame, after: pandas.DataFrame, fate: str) -> list[Problem]:
    """Problems that most samples got right after training and not before, or the reverse."""
    was = rates(before)
    now = rates(after).reindex(was.index)
    first, last = was >= 0.5, now >= 0.5
    kept = last & ~first if fate == "fixed" else first & ~last
    asked, asked_now = (s.drop_duplicates("problem").set_index("problem") for s in (before, after))
    for column in ("question", "gold"):  # another problem may have come to the same id
        kept &= asked[column] == asked_now[column].reindex(was.index)
    if not kept.any():
        raise UserError(f"no problem was {FATES[fate]}")
    return _asked(before[before["problem"].isin(was.index[kept])])


def _asked(samples: pandas.DataFrame) -> list[Problem]:
    rows = samples.drop_duplicates("problem")
    return [
        Problem(
            id=str(row["problem"]),
            question=str(row["question"]),
            answer=str(row["gold"]),
            level=None if row["level"] is None else str(row["level"]),
        )
        for row in rows.to_dict("records")
    ]
