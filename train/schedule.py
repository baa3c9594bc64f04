"""What follows from seed and step alone: the learning rate and the seeds."""

import math
import random


def learning_rate(
    step: int, steps: int, *, peak: float, schedule: str = "constant", warmup_steps: int = 0
) -> float:
    """The rate at `step` (from 0): linear warm-up to `peak`, then constant, linear or cosine.

    `linear` and `cosine` fall to a tenth of the peak at the last step, so that it still teaches.
    """
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    if schedule == "constant":
        return peak
    done = (step - warmup_steps) / max(1, steps - 1 - warmup_steps)
    shape = 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * (0.1 + 0.9 * shape)


def step_seed(seed: int, step: int) -> int:
    """The seed of everything random in a step."""
    return random.Random(f"{seed}/step/{step}").getrandbits(31)
