"""Which problems a step takes: epochs in seeded order, or by how often they were solved so far.

Everything follows from the seed, the position in the data and the pass rates, which are kept in
the checkpoint; so a resumed run takes the very same problems.
"""

import random
from collections.abc import Sequence
from typing import Any, Literal

from train.batches import batch_indices

Kind = Literal["none", "weight", "drop"]

MEMORY = 0.5  # weight of what was known before, in the running pass rate
SOLVED = 0.99  # a running pass rate from which `drop` leaves a problem out
FLOOR = 0.05  # the least weight of a problem, so that none is ever forgotten


class Curriculum:
    """Hands out indices of problems and learns their pass rates."""

    def __init__(self, count: int, seed: int, kind: Kind = "none"):
        self.count, self.seed, self.kind = count, seed, kind
        self.position = 0  # how many problems were handed out
        self.rates: dict[int, float] = {}  # index -> running pass rate

    def take(self, size: int) -> list[int]:
        """The indices of the next `size` problems."""
        begin, self.position = self.position, self.position + size
        if self.kind == "weight" and self.rates:
            return self._weighted(size, begin)
        if self.kind == "drop":
            return self._unsolved(size, begin)
        return batch_indices(self.count, size, begin, self.seed)

    def _weighted(self, size: int, begin: int) -> list[int]:
        """Drawn by p (1 − p), the variance of a 0/1 reward; unknown problems count as p = 1/2."""
        draw = random.Random(f"{self.seed}/curriculum/{begin}")
        rates = [self.rates.get(i, 0.5) for i in range(self.count)]
        weights = [max(FLOOR, 4 * p * (1 - p)) for p in rates]
        keys = [draw.random() ** (1 / weight) for weight in weights]  # Efraimidis, Spirakis 2006
        order = sorted(range(self.count), key=keys.__getitem__, reverse=True)
        return [order[i % self.count] for i in range(size)]

    def _unsolved(self, size: int, begin: int) -> list[int]:
        """In the order of the epoch, past the solved; all again once everything is solved."""
        chosen: list[int] = []
        at = begin
        for _ in range(2 * self.count + size):
            (index,) = batch_indices(self.count, 1, at, self.seed)
            at += 1
            if self.rates.get(index, 0.0) < SOLVED:
                chosen.append(index)
            if len(chosen) == size:
                self.position = at
                return chosen
        return batch_indices(self.count, size, begin, self.seed)

    def learn(self, indices: Sequence[int], rates: Sequence[float]) -> None:
        """Take the pass rates of a rollout into the running ones."""
        for index, rate in zip(indices, rates, strict=True):
            known = self.rates.get(index)
            self.rates[index] = rate if known is None else MEMORY * known + (1 - MEMORY) * rate

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to remember."""
        return {"position": self.position, "rates": dict(self.rates)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.position, self.rates = state["position"], dict(state["rates"])
