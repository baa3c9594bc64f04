"""Two results on the same problems: is the difference real?"""

import dataclasses
from typing import Any

import pandas

from common.errors import UserError
from eval.intervals import Estimate, difference_interval
from eval.passk import pass_at_k
from eval.result import right_counts


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """b against a. `difference` of pass@k; problems more often right in b, and in a."""

    difference: dict[int, Estimate]
    fixed: int
    broken: int

    def lines(self) -> list[str]:
        """What to print."""
        out = []
        for k, estimate in self.difference.items():
            apart = estimate.ci_low > 0 or estimate.ci_high < 0
            verdict = "the interval excludes 0" if apart else "the interval includes 0"
            out.append(
                f"pass@{k}: {estimate.mean:+.3f} "
                f"[{estimate.ci_low:+.3f}, {estimate.ci_high:+.3f}], {verdict}"
            )
        out.append(f"right more often on {self.fixed} problems, less often on {self.broken}")
        return out


def compare(
    a: tuple[dict[str, Any], pandas.DataFrame], b: tuple[dict[str, Any], pandas.DataFrame]
) -> Comparison:
    """Compare two results paired by problem, at every k both have.

    Raises UserError when they are not about the same problems.
    """
    (results_a, samples_a), (results_b, samples_b) = a, b
    keys = ["problem", "question", "gold"]
    problems_a, problems_b = (
        s[keys].drop_duplicates("problem").reset_index(drop=True) for s in (samples_a, samples_b)
    )
    if not problems_a.equals(problems_b):
        raise UserError(
            f"the results are about different problems: {results_a['data']} "
            f"({len(problems_a)} problems) and {results_b['data']} ({len(problems_b)})"
        )
    right_a, right_b = right_counts(samples_a), right_counts(samples_b)
    n_a, n_b = results_a["n_samples"], results_b["n_samples"]
    shared = [int(k) for k in results_a["pass_at_k"] if k in results_b["pass_at_k"]]
    rate_a, rate_b = right_a / n_a, right_b / n_b
    return Comparison(
        difference={
            k: difference_interval(pass_at_k(n_a, right_a, k), pass_at_k(n_b, right_b, k))
            for k in shared
        },
        fixed=int((rate_b > rate_a).sum()),
        broken=int((rate_b < rate_a).sum()),
    )
