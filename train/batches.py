"""The order of the data and the seeds of the steps: functions of the run's seed alone."""

import functools
import random


def batch_indices(count: int, size: int, begin: int, seed: int) -> list[int]:
    """Indices of the `size` problems from position `begin` on, out of `count`.

    Each epoch goes once over all problems in a new seeded order; batches run on across epochs.
    """
    chosen = []
    for position in range(begin, begin + size):
        epoch, place = divmod(position, count)
        chosen.append(_epoch_order(count, epoch, seed)[place])
    return chosen


@functools.lru_cache(maxsize=4)
def _epoch_order(count: int, epoch: int, seed: int) -> list[int]:
    order = list(range(count))
    random.Random(f"{seed}/epoch/{epoch}").shuffle(order)
    return order


def step_seed(seed: int, step: int) -> int:
    """The seed of everything random in a step."""
    return random.Random(f"{seed}/step/{step}").getrandbits(31)
