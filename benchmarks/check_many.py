"""`python benchmarks/check_many.py [GSM8K.jsonl]`: 100,000 pairs with one worker and with two.

Prints seconds, the ratio, and the largest memory of this process while each goes on. Without a
file, synthetic problems are checked.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room


import itertools
import resource
import time
from collections.abc import Iterator

from benchmarks.checker import ENDINGS
from data import load_problems
from rewards import Checker

PAIRS = 100_000


def pairs(source: str) -> Iterator[tuple[str, str]]:
    """Solutions with many endings, each with a number of its own, so that none is met twice."""
    problems = [p for p in load_problems(source) if p.solution]
    for count, problem in enumerate(itertools.islice(itertools.cycle(problems), PAIRS)):
        steps = f"{count}. " + (problem.solution or "").split("####")[0].split("\\boxed")[0].strip()
        gold = f"{count}.{problem.answer.replace(',', '')}" if count % 3 else problem.answer
        yield ENDINGS[count % len(ENDINGS)].replace(".00", "").format(steps=steps, gold=gold), gold


def main(source: str) -> None:
    work = list(pairs(source))
    seconds = {}
    for workers in (1, 2):
        with Checker(workers=workers) as checker:
            checker.check_many(work[:1000])  # start the workers
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begun = time.perf_counter()
            right = sum(verdict.reward for verdict in checker.check_each(iter(work)))
            seconds[workers] = time.perf_counter() - begun
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(
            f"{workers} worker(s): {seconds[workers]:.2f} s, {PAIRS / seconds[workers]:,.0f} a "
            f"second, {right} right, memory +{grown / 1024:.0f} MiB"
        )
    print(f"two workers are {seconds[1] / seconds[2]:.2f} times as fast as one")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "synth:train,n=5000")
