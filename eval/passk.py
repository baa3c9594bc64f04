"""The unbiased pass@k estimator."""

import numpy
from numpy.typing import ArrayLike


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int):
    """1 − C(n−c, k) / C(n, k): the chance that k of n samples, c of them right, hold a right one.

    Unbiased for the pass rate at k (Chen et al., "Evaluating Large Language Models Trained on
    Code", arXiv 2107.03374, eq. 1). `n` and `c` are counts or arrays of counts, one a problem;
    the result has their shape, a float for scalars. Raises ValueError unless 1 ≤ k ≤ n and
    0 ≤ c ≤ n.
    """
    total, right = _checked(n, c, k)
    # C(n−c, k) / C(n, k) = Π_{i<k} (n−c−i) / (n−i), 0 once a factor is
    i = numpy.arange(k)
    factors = numpy.clip(total[..., None] - right[..., None] - i, 0, None) / (total[..., None] - i)
    estimate = 1.0 - factors.prod(axis=-1)
    return float(estimate) if estimate.ndim == 0 else estimate


def all_right_at_k(n: ArrayLike, c: ArrayLike, k: int):
    """C(c, k) / C(n, k): the chance that all of k of the n samples are right; as `pass_at_k`."""
    total, right = _checked(n, c, k)
    i = numpy.arange(k)
    factors = numpy.clip(right[..., None] - i, 0, None) / (total[..., None] - i)
    estimate = factors.prod(axis=-1)
    return float(estimate) if estimate.ndim == 0 else estimate


def _checked(n: ArrayLike, c: ArrayLike, k: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    counts = [numpy.asarray(x) for x in (n, c, k)]
    if any(x.dtype.kind not in "iu" for x in counts):
        raise ValueError("n, c and k must be integers")
    total, right = numpy.broadcast_arrays(counts[0], counts[1])
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if (total < k).any():
        raise ValueError(f"k = {k} is more than the n = {total.min()} samples there are")
    if (right < 0).any() or (right > total).any():
        raise ValueError("the number of right samples c must lie between 0 and n")
    return total, right
