"""`python benchmarks/solutions.py [FILE …]`: worked solutions against golds, theirs and others'.

Every solution should get reward 1 against its own gold, and against the next problem's gold only
where the two golds are equal. Without files, synthetic problems are checked.
"""

import sys
import time

from data import load_problems
from rewards import Checker


def main(sources: list[str]) -> None:
    with Checker() as checker:
        for source in sources:
            problems = [p for p in load_problems(source) if p.solution]
            begun = time.perf_counter()
            own = checker.check_many((p.solution or "", p.answer) for p in problems)
            seconds = time.perf_counter() - begun
            others = [*problems[1:], problems[0]]
            pairs = list(zip(problems, others, strict=True))
            other = checker.check_many((p.solution or "", q.answer) for p, q in pairs)
            equal = checker.check_many((f"#### {p.answer}", q.answer) for p, q in pairs)
            odd = sum(a.reward != b.reward for a, b in zip(other, equal, strict=True))
            print(
                f"{source}: own gold {sum(v.reward for v in own)} of {len(problems)} "
                f"({len(problems) / seconds:.0f} a second); next problem's gold: "
                f"{sum(v.reward for v in other)} rewarded, {odd} of them or others wrongly judged"
            )


if __name__ == "__main__":
    main(sys.argv[1:] or ["synth:train,n=5000"])
