"""Means over problems with 95% intervals; the problem is the unit, its samples are not."""

import dataclasses

import numpy
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval."""

    mean: float
    ci_low: float
    ci_high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.ci_low:.3f}, {self.ci_high:.3f}]"


def mean_interval(values: ArrayLike, *, exact: bool = False) -> Estimate:
    """The mean of one value in [0, 1] a problem, with a 95% interval.

    `exact`, for values that are 0 or 1 (one sample a problem), or all values alike: the interval
    of Clopper and Pearson (1934). Others: Student's t interval on the problems' values, which
    holds whatever the samples of one problem have in common (Miller, "Adding Error Bars to
    Evals", arXiv 2411.00640, section 2), cut to [0, 1]. Raises ValueError without values.
    """
    x = numpy.asarray(values, dtype=float)
    if x.size == 0:
        raise ValueError("no values to average")
    mean = float(x.mean())
    binary = bool(numpy.isin(x, (0.0, 1.0)).all())
    if binary and (exact or mean in (0.0, 1.0)):
        found = stats.binomtest(int(x.sum()), x.size).proportion_ci(LEVEL, method="exact")
        return Estimate(mean, float(found.low), float(found.high))
    low, high = _t_interval(x)
    return Estimate(mean, max(0.0, low), min(1.0, high))


def difference_interval(a: ArrayLike, b: ArrayLike) -> Estimate:
    """The mean of b − a over the same problems, with Student's t interval on the differences.

    Raises ValueError unless `a` and `b` have the same length, at least 2.
    """
    first, second = (numpy.asarray(x, dtype=float) for x in (a, b))
    if first.shape != second.shape or first.size < 2:
        raise ValueError("a paired difference needs the same problems on both sides, at least 2")
    return Estimate(float((second - first).mean()), *_t_interval(second - first))


def _t_interval(x: numpy.ndarray) -> tuple[float, float]:
    if x.size < 2:
        return -numpy.inf, numpy.inf
    half = stats.t.ppf((1 + LEVEL) / 2, x.size - 1) * x.std(ddof=1) / numpy.sqrt(x.size)
    return float(x.mean() - half), float(x.mean() + half)
