"""What a problem set holds and what is wrong with it, before anybody trains on it."""

import collections
import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy

from data import Problem, PromptTemplate, load_problems
from data.golds import is_sentinel
from eval.judge import judge
from rewards import Checker

_PROSE = re.compile(r"(?:[A-Za-z]{3,}[ ,.]+){4,}")  # five words in a row are a sentence


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Findings on a set: counts, and the ids of the problems to look at."""

    problems: int
    with_solution: int
    chats: int
    lengths: dict[str, list[int]]  # what is measured -> length of each
    unit: str
    unreadable: list[str]  # golds that do not earn 1 against themselves
    prose: list[str]  # golds that are sentences
    sentinels: list[str]  # golds such as "proof"
    duplicates: list[str]  # a question that was there before
    unearned: list[str]  # solutions that do not earn 1 against their own gold

    def lines(self) -> list[str]:
        """What to print."""
        out = [
            f"{self.problems} problems, {self.with_solution} with a solution, "
            f"{self.chats} as chat messages"
        ]
        for name, found in self.lengths.items():
            if found:
                middle, high = numpy.percentile(found, [50, 95]).astype(int)
                out.append(
                    f"{name}: {self.unit} {min(found)} to {max(found)}, half up to {middle}, "
                    f"95% up to {high}"
                )
        for count, what in (
            (self.unreadable, "golds that the checker cannot read"),
            (self.prose, "golds that are sentences, which only the same words match"),
            (self.sentinels, "golds that say there is no answer (leave them out)"),
            (self.duplicates, "questions that were there before"),
            (self.unearned, "solutions that do not earn 1 against their own gold"),
        ):
            more = f": {', '.join(count[:5])}{', …' if len(count) > 5 else ''}" if count else ""
            out.append(f"{len(count)} {what}{more}")
        return out


def inspect_problems(
    problems: Sequence[Problem], checker: Checker, prompt: PromptTemplate | None = None
) -> Inspection:
    """Look at every problem; lengths are in tokens with a `prompt` template, else in characters."""
    if prompt is None:
        lengths = {"question": [len(p.question) for p in problems]}
        lengths["solution"] = [len(p.solution) for p in problems if p.solution]
    else:
        targets = [prompt.encode_target(p.solution) for p in problems if p.solution]
        lengths = {"prompt": [len(prompt.encode(p)) for p in problems]}
        lengths["solution"] = [len(target) for target in targets]
    boxed = judge(checker, [(p, f"\\boxed{{{p.answer}}}", False) for p in problems])
    solved = [p for p in problems if p.solution]
    earned = judge(checker, [(p, str(p.solution), False) for p in solved])
    seen: collections.Counter[str] = collections.Counter()
    duplicates = []
    for problem in problems:
        key = " ".join(problem.question.split()).casefold()
        seen[key] += 1
        if seen[key] > 1:
            duplicates.append(problem.id)
    return Inspection(
        problems=len(problems),
        with_solution=len(solved),
        chats=sum(p.messages is not None for p in problems),
        lengths=lengths,
        unit="characters" if prompt is None else "tokens",
        unreadable=[p.id for p, v in zip(problems, boxed, strict=True) if not v.reward],
        prose=[p.id for p in problems if _PROSE.search(p.answer + " ")],
        sentinels=[p.id for p in problems if is_sentinel(p.answer)],
        duplicates=duplicates,
        unearned=[p.id for p, v in zip(solved, earned, strict=True) if not v.reward],
    )


def show(source: str, how: dict[str, Any], prompt: PromptTemplate | None) -> list[str]:
    """The lines of `data show`; raises UserError as `load_problems` does."""
    problems = load_problems(source, **how)
    with Checker() as checker:
        return inspect_problems(problems, checker, prompt).lines()
