"""The blind test: two answers without names, a pick, and what the picks say."""

import dataclasses
import datetime
import json
import random
from pathlib import Path

from scipy import stats

from app.files import within
from app.html import code, exact_interval, figures, percent
from app.runs import Choice, Library
from common.errors import UserError
from data import Problem

PICKS = {"left": "Answer 1 is better", "right": "Answer 2 is better", "equal": "Equally good"}
FILE = "blind_test.jsonl"


@dataclasses.dataclass(frozen=True)
class Blind:
    """A test on its way. It lives on the server; the page sees no name before a pick."""

    first: Choice
    second: Choice
    seed: int
    source: str
    round: int = 0
    skipped: int = 0  # problems both answered alike
    problem: Problem | None = None
    texts: tuple[str, str] = ("", "")  # left, right
    picked: bool = False
    wins: tuple[int, int, int] = (0, 0, 0)  # of the first, of the second, equal

    def sides(self) -> tuple[Choice, Choice]:
        """Who is left and who is right in this round: drawn by seed and round."""
        swapped = random.Random(f"{self.seed}/{self.round}").random() < 0.5
        return (self.second, self.first) if swapped else (self.first, self.second)

    def problems(self, problems: list[Problem]) -> list[Problem]:
        """The problems in this test's order."""
        return random.Random(self.seed).sample(problems, len(problems))

    def pick(self, pick: str) -> "Blind":
        """The test after a pick."""
        if self.problem is None or self.picked:
            raise UserError("there is nothing to pick now; go on to the next problem")
        first_won = (pick == "left") == (self.sides()[0] == self.first)
        place = 2 if pick == "equal" else 0 if first_won else 1
        first, second, equal = (n + (i == place) for i, n in enumerate(self.wins))
        return dataclasses.replace(self, picked=True, wins=(first, second, equal))


def score_html(test: Blind) -> str:
    """How often each was picked, with the exact interval and the sign test."""
    first, second, equal = test.wins
    decided = first + second
    if not decided:
        return f"<p>{equal} picks, none of them for either.</p>"
    low, high = exact_interval(second, decided)
    p = float(stats.binomtest(second, decided, 0.5).pvalue)
    return figures(
        [
            (test.first.label, str(first), "times better"),
            (test.second.label, str(second), "times better"),
            ("Equally good", str(equal), f"{test.skipped} problems with equal texts passed over"),
            (
                f"{test.second.label} is picked",
                percent(second / decided),
                f"95% interval {percent(low)} to {percent(high)}, p = {p:.2g}",
            ),
        ]
    )


def reveal_html(test: Blind) -> str:
    """Who wrote which answer."""
    left, right = test.sides()
    return f"<p>Answer 1: <b>{code(left.label)}</b>. Answer 2: <b>{code(right.label)}</b>.</p>"


def keep(library: Library, test: Blind, pick: str) -> Path:
    """Append the pick to the run's file of picks; returns the file. Raises UserError."""
    run = test.second.run or test.first.run
    folder = library.run(run).folder if run else library.runs
    file = folder / FILE
    left, right = test.sides()
    winner = {"left": left.label, "right": right.label, "equal": None}[pick]
    line = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seed": test.seed,
        "round": test.round,
        "problem": test.problem.id if test.problem else None,
        "question": test.problem.question if test.problem else None,
        "left": left.label,
        "right": right.label,
        "pick": pick,
        "winner": winner,
    }
    if file.is_symlink() or (file.exists() and not (file.is_file() and within(file, folder))):
        raise UserError(f"{file} is no regular file; the pick was not kept")
    try:
        with open(file, "a", encoding="utf-8") as opened:
            opened.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"the pick cannot be kept in {file}: {error.strerror}") from error
    return file
