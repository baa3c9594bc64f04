"""The checker: find the answer, compare it with the gold, say why; bounded in time.

The bulk is decided here, by exact numbers, exact polynomials and floats that differ. Only what
needs many digits or algebra goes to worker processes, which are killed at the time limit.
"""

import functools
import time
from collections.abc import Iterable, Iterator

from rewards.equality.answers import Form, Undecided, compare
from rewards.extract import Extraction, extract
from rewards.extract.expressions import formulas
from rewards.parse.normalize import without_spaces
from rewards.parse.parsed_text import read
from rewards.parse.tokens import MAX_LENGTH
from rewards.verdict import Verdict, verdict
from rewards.workers.pool import Pair, Pool, Rules

TIMEOUT = 2.0
FORMS = ("value", "final")


class Checker:
    """Checks completions against golds; usable from any thread.

    `workers` processes are started when the first answer needs one, and each gets `timeout`
    seconds a check. `strict` wants the answer marked: no last number. `form = "final"` wants it
    worked out as far as the gold is: a number where the gold is one, factored where it is
    factored. Use it as a context manager or call `close`.
    """

    def __init__(
        self,
        workers: int = 1,
        timeout: float = TIMEOUT,
        strict: bool = False,
        form: Form = "value",
    ):
        if workers < 1 or timeout <= 0:
            raise ValueError("a checker needs at least one worker and a positive timeout")
        if form not in FORMS:
            raise ValueError(f"form is one of {', '.join(FORMS)}, not {form!r}")
        self.workers, self.timeout, self.strict, self.form = workers, timeout, strict, form
        self._pool = Pool(workers)

    def check(self, completion: str, gold: str, *, truncated: bool = False) -> Verdict:
        """The verdict on one completion; `truncated` says that a limit on its length cut it off.

        A truncated completion earns by a finished mark only, never by its last number.
        """
        begun = time.perf_counter()
        found = extract(completion, strict=self.strict, truncated=truncated)
        decision = compare(found, gold, self.form)
        if isinstance(decision, Undecided):
            decision = self._pool.ask(decision, self.timeout)
        return verdict(found, decision, begun)

    def check_many(self, pairs: Iterable[Pair]) -> list[Verdict]:
        """The verdicts on (completion, gold) or (completion, gold, truncated), in their order."""
        return list(self.check_each(pairs))

    def check_each(self, pairs: Iterable[Pair]) -> Iterator[Verdict]:
        """The verdicts in order as they come; several workers each check shares of the pairs."""
        if self.workers == 1:
            return (
                self.check(completion, gold, truncated=bool(rest and rest[0]))
                for completion, gold, *rest in pairs
            )
        return self._pool.check_each(pairs, Rules(self.timeout, self.strict, self.form))

    def close(self) -> None:
        """Stop the workers."""
        self._pool.close()

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@functools.cache
def _shared() -> Checker:
    return Checker()


def check(completion: str, gold: str, *, truncated: bool = False) -> Verdict:
    """The verdict on one completion, by a checker that is kept for the whole process."""
    return _shared().check(completion, gold, truncated=truncated)


def is_echo(answer: str | None, question: str) -> bool:
    """Whether an extracted answer only repeats a formula of the question, numbers and names aside.

    What training warns of: a policy that copies instead of working out.
    """
    if not answer or len(answer) > MAX_LENGTH:
        return False
    parsed = read(answer)
    if parsed.number or len(parsed.words) < 3:
        return False
    given = (side for one in formulas(question) for side in (one.text, *one.text.split("=")))
    return any(without_spaces(read(side).normal) == without_spaces(parsed.normal) for side in given)


def equal(answer: str, other: str) -> bool:
    """Whether two answers, already extracted, are equal as far as that is cheap to see.

    Numbers, exact expressions, lists, sets and texts are compared; what would take a worker
    counts as different. Never raises.
    """
    decision = compare(Extraction("boxed", (answer,)), other)
    return isinstance(decision, tuple) and decision[0] == 1
