"""Which problems a step takes: epochs in seeded order, or by how often they were solved so far.

Everything follows from the seed, the position in the data and the pass rates, which are kept in
the checkpoint; so a resumed run takes the very same problems.
"""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from data import Mixture

Kind = Literal["none", "weight", "drop"]

MEMORY = 0.5  # weight of what was known before, in the running pass rate
SOLVED = 0.99  # a running pass rate from which `drop` leaves a problem out
FLOOR = 0.05  # the least weight of a problem, so that none is ever forgotten


class Curriculum:
    """Hands out indices of problems and learns their pass rates."""

    def __init__(self, mixture: Mixture, kind: Kind = "none"):
        self.mixture, self.kind = mixture, kind
        self.count, self.seed = len(mixture.problems), mixture.seed
        self.position = 0  # how many problems were handed out
        self.cursors = [0] * len(mixture.sizes)  # how many of each source were handed out
        self.waiting: list[list[int]] = [[] for _ in mixture.sizes]  # put off to the next step
        self.rates: dict[int, float] = {}  # index -> running pass rate

    def take(self, size: int) -> list[int]:
        """The indices of the next `size` problems; none twice, where there are as many."""
        begin, self.position = self.position, self.position + size
        if self.kind == "weight" and self.rates:
            return self._weighted(size, begin)
        chosen: list[int] = []
        for at in range(begin, begin + size):
            chosen.append(self._next(self.mixture.share(at), chosen))
        return chosen

    def _next(self, source: int, chosen: list[int]) -> int:
        """The next problem of a source, in the order of its epochs.

        One that the step has already, as an epoch ends within it, is put off to the next step. With
        `drop`, solved ones are passed over, unless all are solved.
        """
        waiting = self.waiting[source]
        for index in waiting:
            if index not in chosen:
                waiting.remove(index)
                return index
        for _ in range(2 * self.mixture.sizes[source]):
            index = self._advance(source)
            if self.kind == "drop" and self.rates.get(index, 0.0) >= SOLVED:
                continue
            if index not in chosen:
                return index
            waiting.append(index)
        waiting.clear()  # all of the source is in this step, or solved
        return self._advance(source)

    def _advance(self, source: int) -> int:
        self.cursors[source] += 1
        return self.mixture.nth(source, self.cursors[source] - 1)

    def _weighted(self, size: int, begin: int) -> list[int]:
        """Drawn by p (1 − p), the variance of a 0/1 reward; unknown problems count as p = 1/2.

        Each source keeps its share.
        """
        draw = random.Random(f"{self.seed}/curriculum/{begin}")
        rates = [self.rates.get(i, 0.5) for i in range(self.count)]
        weights = [max(FLOOR, 4 * p * (1 - p)) for p in rates]
        keys = [draw.random() ** (1 / weight) for weight in weights]  # Efraimidis, Spirakis 2006
        order = sorted(range(self.count), key=keys.__getitem__, reverse=True)
        chosen: list[int] = []
        for source, quota in sorted(self._quotas(size, begin).items()):
            mine = [i for i in order if self.mixture.source_of(i) == source]
            chosen += [mine[place % len(mine)] for place in range(quota)]
        return chosen

    def _quotas(self, size: int, begin: int) -> Counter[int]:
        """How many of the next draws each source has."""
        return Counter(self.mixture.share(at) for at in range(begin, begin + size))

    def learn(self, indices: Sequence[int], rates: Sequence[float]) -> None:
        """Take the pass rates of a rollout into the running ones."""
        for index, rate in zip(indices, rates, strict=True):
            known = self.rates.get(index)
            self.rates[index] = rate if known is None else MEMORY * known + (1 - MEMORY) * rate

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to remember."""
        return {
            "position": self.position,
            "cursors": list(self.cursors),
            "waiting": [list(indices) for indices in self.waiting],
            "rates": dict(self.rates),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.position, self.rates = state["position"], dict(state["rates"])
        self.cursors = list(state["cursors"])
        self.waiting = [list(indices) for indices in state["waiting"]]
