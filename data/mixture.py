"""Several sources in given shares: which problem is drawn at which position, for a seed."""

import functools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

from common.errors import UserError
from data.load import Source, set_name
from data.problem import Problem, with_unique_ids


class Mixture:
    """Draws from several sources by their weights; a pure function of seed and position.

    After any number of draws the count of each source differs from its exact share by less than
    one. Each source is gone through in epochs of its own, each epoch in a new seeded order.
    Problems are numbered through all sources, in the order of `problems`.
    """

    def __init__(self, sets: Sequence[Sequence[Problem]], weights: Sequence[float], *, seed: int):
        """`sets`: the problems of each source, none empty; `weights`: positive, in any unit.

        Raises UserError for other weights, or for an empty source.
        """
        if not sets or len(sets) != len(weights):
            raise UserError(f"{len(sets)} sources cannot have {len(weights)} weights")
        if bad := [w for w in weights if not (math.isfinite(w) and w > 0)]:
            raise UserError(f"the weight of a source must be positive, not {bad[0]}")
        if not all(sets):
            raise UserError(f"source {[bool(s) for s in sets].index(False) + 1} has no problems")
        self.seed = seed
        self.sizes = [len(problems) for problems in sets]
        self.starts = [sum(self.sizes[:s]) for s in range(len(sets))]
        self.problems = with_unique_ids([p for problems in sets for p in problems])
        self._shares = _Shares(weights)

    @classmethod
    def load(cls, sources: Sequence[Source], *, seed: int) -> "Mixture":
        """The mixture of sources as a configuration names them."""
        return cls([s.load() for s in sources], [s.weight for s in sources], seed=seed)

    def share(self, position: int) -> int:
        """The source (its number) that the draw at a position, from 0, comes from."""
        return self._shares.at(position)[0]

    def index(self, position: int) -> int:
        """The problem (its number in `problems`) drawn at a position."""
        return self.nth(*self._shares.at(position))

    def nth(self, source: int, ordinal: int) -> int:
        """The problem drawn at the draw `ordinal`, from 0, of one source."""
        epoch, place = divmod(ordinal, self.sizes[source])
        order = _epoch_order(self.sizes[source], epoch, self.seed, source)
        return self.starts[source] + order[place]

    def indices(self, begin: int, size: int) -> list[int]:
        """The problems of the `size` draws from a position on."""
        return [self.index(position) for position in range(begin, begin + size)]

    def source_of(self, index: int) -> int:
        """The source that a problem belongs to."""
        return max(s for s, start in enumerate(self.starts) if start <= index)


def source_names(sources: Sequence[Source]) -> list[str]:
    """A short name for each source, unlike the others, for metrics and tables."""
    names: list[str] = []
    for source in sources:
        name = short = set_name(source.source)
        count = 1
        while name in names:
            count += 1
            name = f"{short}-{count}"
        names.append(name)
    return names


class _Shares:
    """Which source each draw comes from, and the how-manieth of that source it is.

    Tijdeman's solution of the chairman assignment problem (Discrete Mathematics 32, 1980): among
    the sources that are behind their share by at least 1/(2k − 2), the one takes the draw whose
    share would soonest be exceeded; no source is then ever off by more than 1 − 1/(2k − 2). The
    sequence repeats once every share is whole.
    """

    def __init__(self, weights: Sequence[float]):
        exact = [Fraction(str(weight)) for weight in weights]
        unit = math.lcm(*(w.denominator for w in exact))
        whole = [int(w * unit) for w in exact]
        self.weights = [w // math.gcd(*whole) for w in whole]
        self.period = sum(self.weights)
        self._drawn: list[tuple[int, int]] = []
        self._counts = [0] * len(whole)

    def at(self, position: int) -> tuple[int, int]:
        rounds, place = divmod(position, self.period)
        while len(self._drawn) <= place:
            self._draw()
        source, ordinal = self._drawn[place]
        return source, rounds * self.weights[source] + ordinal

    def _draw(self) -> None:
        draw = len(self._drawn) + 1
        slack = max(2 * len(self.weights) - 2, 1)  # 1 / slack: how far behind one must be

        def behind(s: int) -> int:
            return self.weights[s] * draw - self._counts[s] * self.period

        def deadline(s: int) -> Fraction:
            return Fraction((slack - 1) * self.period - slack * behind(s), self.weights[s])

        late = [s for s in range(len(self.weights)) if slack * behind(s) >= self.period]
        source = min(late, key=deadline)
        self._drawn.append((source, self._counts[source]))
        self._counts[source] += 1


@functools.lru_cache(maxsize=16)
def _epoch_order(count: int, epoch: int, seed: int, source: int) -> list[int]:
    """The order of one epoch of a source; the first source's is that of a run without a mixture."""
    order = list(range(count))
    key = f"{seed}/epoch/{epoch}" if source == 0 else f"{seed}/{source}/epoch/{epoch}"
    random.Random(key).shuffle(order)
    return order
