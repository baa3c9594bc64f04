"""Contamination: problems of an evaluation file that a training file nearly contains.

Two questions are near-duplicates where most word n-grams of the one stand in the other (as in the
overlap analyses of GPT-3, arXiv 2005.14165, appendix C, with shorter n-grams for short questions);
numbers count as words like any other, so that a problem with other numbers is not reported.
"""

import collections
import dataclasses
import re
from collections.abc import Sequence

from data import Problem

N = 8  # words of an n-gram; all of a shorter question is one
THRESHOLD = 0.6  # share of an evaluation question's n-grams from which it is reported
COMMON = 50  # an n-gram in more training questions than this says nothing

_WORD = re.compile(r"[^\W_]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Overlap:
    """An evaluation problem, the training problem closest to it, and the share of its n-grams."""

    problem: Problem
    closest: Problem
    share: float


def grams(text: str, n: int = N) -> set[tuple[str, ...]]:
    """The word n-grams of a text, without case and punctuation."""
    words = _WORD.findall(text.casefold())
    if len(words) <= n:
        return {tuple(words)} if words else set()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def find_overlaps(
    training: Sequence[Problem], evaluation: Sequence[Problem], threshold: float = THRESHOLD
) -> list[Overlap]:
    """The evaluation problems that share at least `threshold` of their n-grams with one training
    problem, the closest first; linear in the texts."""
    where: dict[tuple[str, ...], list[int]] = collections.defaultdict(list)
    for index, problem in enumerate(training):
        for gram in grams(problem.question):
            if len(where[gram]) <= COMMON:
                where[gram].append(index)
    found = []
    for problem in evaluation:
        own = grams(problem.question)
        hits = collections.Counter(i for gram in own for i in where.get(gram, ()))
        if not hits:
            continue
        index, count = hits.most_common(1)[0]
        if count / len(own) >= threshold:
            found.append(Overlap(problem, training[index], count / len(own)))
    return sorted(found, key=lambda overlap: -overlap.share)
