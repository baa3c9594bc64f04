"""Labelled answers, kind by kind: the rules of docs/answer-checking.md.

`tests/answers/boxed/KIND.txt` holds answers in a box, `texts/KIND.txt` whole completions; a line a
case, `answer | gold` where it is right and `answer ✗ gold` where it is wrong, ⏎ for a new line.
"""

from pathlib import Path

import pytest

from rewards import Checker

FILES = sorted((Path(__file__).parent / "answers").glob("*/*.txt"))


@pytest.fixture(scope="module")
def checker():
    with Checker() as one:
        yield one


def cases(path: Path):
    for line in path.read_text(encoding="utf-8").replace("⏎", "\0").split("\n"):
        if line:
            right = " | " in line and " ✗ " not in line
            answer, gold = line.replace("\0", "\n").split(" | " if right else " ✗ ")
            boxed = rf"so \boxed{{{answer}}}" if path.parent.name == "boxed" else answer
            yield boxed, gold, int(right)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}: {path.stem}")
def test_a_right_answer_earns_1_and_a_wrong_one_0(checker, path):
    verdicts = [(checker.check(text, gold), text, gold, right) for text, gold, right in cases(path)]
    assert verdicts
    assert not [case for case in verdicts if case[0].reward != case[3]]
