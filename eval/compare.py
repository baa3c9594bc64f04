"""Two results on the same problems: is the difference real, and what would it take to know?"""

import dataclasses
import math
from typing import Any

import numpy
import pandas
from scipy import stats

from common.errors import UserError
from eval.intervals import Estimate, difference_interval
from eval.passk import pass_at_k
from eval.samples import right_counts

FLIPS = 10_000  # random sign flips of the permutation test
POWER = 0.8
# How both must have been asked; a key that only one result has counts as a difference.
SAME = (
    *("template", "system", "shots", "chat_template_kwargs", "n_samples", "temperature"),
    *("max_tokens", "top_p", "top_k", "min_p", "stop"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """b − a in one number, with what is known about it."""

    estimate: Estimate
    p_value: float
    test: str
    needed: int | None  # problems in all that would show a difference of this size; None if none


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """b against a. Problems right more often in b are `fixed`, those less often `broken`."""

    difference: dict[int, Estimate]
    details: dict[int, Difference]
    fixed: list[str]
    broken: list[str]
    n_problems: int

    def lines(self) -> list[str]:
        """What to print."""
        out = []
        for k, found in self.details.items():
            estimate = found.estimate
            apart = estimate.ci_low > 0 or estimate.ci_high < 0
            verdict = "the interval excludes 0" if apart else "the interval includes 0"
            out.append(
                f"pass@{k}: {estimate.mean:+.3f} [{estimate.ci_low:+.3f}, {estimate.ci_high:+.3f}],"
                f" {verdict}; p = {found.p_value:.2g} ({found.test})"
            )
            if not apart and found.needed and found.needed > self.n_problems:
                out.append(
                    f"  to find a difference of {abs(estimate.mean):.3f} significant, about "
                    f"{found.needed - self.n_problems} more problems would be needed "
                    f"({POWER:.0%} power)"
                )
        out.append(
            f"right more often on {len(self.fixed)} problems, less often on {len(self.broken)}"
        )
        return out


def compare(
    a: tuple[dict[str, Any], pandas.DataFrame], b: tuple[dict[str, Any], pandas.DataFrame]
) -> Comparison:
    """Compare two results paired by problem, at every k both have.

    Raises UserError when they are about other problems or were asked in another way, and says in
    what they differ.
    """
    (results_a, samples_a), (results_b, samples_b) = a, b
    _check_comparable(results_a, results_b)
    problems_a, problems_b = (_problems(s) for s in (samples_a, samples_b))
    if not problems_a.equals(problems_b):
        raise UserError(
            f"the results are about different problems: {results_a['data']} "
            f"({len(problems_a)} problems) and {results_b['data']} ({len(problems_b)})"
        )
    if len(problems_a) < 2:
        raise UserError(
            "both results are about one problem only; a paired difference with an interval needs "
            "at least two"
        )
    right_a, right_b = right_counts(samples_a), right_counts(samples_b)
    n = results_a["n_samples"]
    shared = [int(k) for k in results_a["pass_at_k"] if k in results_b["pass_at_k"]] or [1]
    rate_a, rate_b = right_a / n, right_b / n
    names = problems_a["problem"].astype(str).to_numpy()
    details = {
        k: difference(pass_at_k(n, right_a, k), pass_at_k(n, right_b, k), one_sample=n == 1)
        for k in shared
    }
    return Comparison(
        difference={k: found.estimate for k, found in details.items()},
        details=details,
        fixed=names[rate_b > rate_a].tolist(),
        broken=names[rate_b < rate_a].tolist(),
        n_problems=len(names),
    )


def _problems(samples: pandas.DataFrame) -> pandas.DataFrame:
    """What was asked: a row for each problem."""
    first = samples[samples["sample"] == 0]
    return first[["problem", "question", "gold"]].reset_index(drop=True)


def _check_comparable(a: dict[str, Any], b: dict[str, Any]) -> None:
    for key in SAME:
        if key not in a and key not in b:
            continue
        said = [repr(result[key]) if key in result else "not recorded" for result in (a, b)]
        if said[0] != said[1]:
            raise UserError(
                f"the results were not asked in the same way: {key} was {said[0]} and {said[1]}"
            )


def difference(a: numpy.ndarray, b: numpy.ndarray, *, one_sample: bool = False) -> Difference:
    """The paired difference of one value a problem; see `difference_interval` and `p_value`.

    `needed` is the sample size of a paired t test at 5% with 80% power for the difference and
    spread at hand: ((z₀.₉₇₅ + z₀.₈) s / d)².
    """
    estimate = difference_interval(a, b)
    p, test = p_value(b - a, one_sample=one_sample)
    needed = None
    if estimate.mean:
        z = stats.norm.ppf(0.975) + stats.norm.ppf(POWER)
        needed = math.ceil((z * (b - a).std(ddof=1) / estimate.mean) ** 2)
    return Difference(estimate, p, test, needed)


def p_value(differences: numpy.ndarray, *, one_sample: bool = False) -> tuple[float, str]:
    """The chance of a mean as far from 0, were a and b interchangeable; and the test's name.

    `one_sample`, a right or wrong answer to each problem on both sides: McNemar's exact test
    (1947). Else random sign flips (Fisher 1935), the observed one counted in, so that the p value
    is never 0.
    """
    moved = differences[differences != 0]
    if not moved.size:
        return 1.0, "no problem differs"
    if one_sample:
        up = int((moved > 0).sum())
        return float(stats.binomtest(up, moved.size, 0.5).pvalue), "McNemar, exact"
    draw = numpy.random.default_rng(0)
    observed = abs(moved.sum())
    extreme = 0
    for _ in range(0, FLIPS, 1000):
        signs = draw.choice((-1.0, 1.0), size=(1000, moved.size))
        extreme += int((abs(signs @ moved) >= observed - 1e-12).sum())
    return (extreme + 1) / (FLIPS + 1), "sign flips"
