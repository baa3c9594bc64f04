"""Self-consistency: the answer most completions agree on, equal as the checker sees equality."""

import random
from collections.abc import Sequence

import numpy
import pandas

from eval.samples import by_problem
from rewards import equal

SUBSETS = 32  # random subsets of k samples whose votes are averaged, where k is less than n


def classes(answers: Sequence[str | None]) -> list[int | None]:
    """A number for each answer, the same for equal ones; None for no answer.

    Equality is decided cheaply (numbers, exact expressions, text); what would take algebra counts
    as different.
    """
    kinds: list[str] = []
    seen: dict[str, int] = {}
    found: list[int | None] = []
    for answer in answers:
        if not isinstance(answer, str):
            found.append(None)
            continue
        if answer not in seen:
            alike = (i for i, kind in enumerate(kinds) if equal(answer, kind))
            seen[answer] = next(alike, len(kinds))
            if seen[answer] == len(kinds):
                kinds.append(answer)
        found.append(seen[answer])
    return found


def majority_right(samples: pandas.DataFrame, k: int) -> numpy.ndarray:
    """For each problem the chance that the vote of k of its samples is right.

    Completions without an answer abstain; ties go to the answer given first. For k = n the vote
    of all, else the mean over seeded random subsets.
    """
    chances = []
    for group in by_problem(samples):
        problem = group["problem"].iloc[0]
        kinds, rewards = classes(group["extracted"].tolist()), group["reward"].tolist()
        if k == len(kinds):
            chances.append(_vote(kinds, rewards))
            continue
        draw = random.Random(f"{problem}/{k}")
        subsets = [sorted(draw.sample(range(len(kinds)), k)) for _ in range(SUBSETS)]
        votes = [_vote([kinds[i] for i in s], [rewards[i] for i in s]) for s in subsets]
        chances.append(sum(votes) / SUBSETS)
    return numpy.array(chances)


def _vote(kinds: list[int | None], rewards: list[int]) -> float:
    cast = [kind for kind in kinds if kind is not None]
    if not cast:
        return 0.0
    winner = max(dict.fromkeys(cast), key=cast.count)
    return float(rewards[kinds.index(winner)])
