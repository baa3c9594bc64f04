"""The checker: find the answer, compare it with the gold, say why; bounded in time.

The bulk is decided here, by exact numbers, exact polynomials and floats that differ. Only what
needs many digits or algebra goes to worker processes, which are killed at the time limit.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from rewards.decide import Undecided, decide
from rewards.extract import extract
from rewards.pool import Pool
from rewards.verdict import Verdict, verdict

TIMEOUT = 2.0


class Checker:
    """Checks completions against golds; usable from any thread.

    `workers` processes are started when the first answer needs one, and each gets `timeout`
    seconds a check. `strict` wants the answer marked: no last number. Use it as a context
    manager or call `close`.
    """

    def __init__(self, workers: int = 1, timeout: float = TIMEOUT, strict: bool = False):
        if workers < 1 or timeout <= 0:
            raise ValueError("a checker needs at least one worker and a positive timeout")
        self.workers, self.timeout, self.strict = workers, timeout, strict
        self._pool = Pool(workers)

    def check(self, completion: str, gold: str) -> Verdict:
        """The verdict on one completion."""
        begun = time.perf_counter()
        found = extract(completion, strict=self.strict)
        decision = decide(found, gold)
        if isinstance(decision, Undecided):
            decision = self._pool.ask(decision, self.timeout)
        return verdict(found, decision, begun)

    def check_many(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """The verdicts on (completion, gold) pairs, in their order."""
        return list(self.check_each(pairs))

    def check_each(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Verdict]:
        """The verdicts in order as they come; several workers each check shares of the pairs."""
        if self.workers == 1:
            return (self.check(completion, gold) for completion, gold in pairs)
        return self._pool.check_each(pairs, self.timeout, strict=self.strict)

    def close(self) -> None:
        """Stop the workers."""
        self._pool.close()

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_shared: dict[str, Any] = {}


def check(completion: str, gold: str) -> Verdict:
    """The verdict on one completion, by a checker that is kept for the whole process."""
    checker = _shared.setdefault("checker", Checker())
    return checker.check(completion, gold)
