"""The checker: find the answer, compare it with the gold, say why; bounded in time.

The bulk is decided here, by exact numbers and small trees. Only what is left goes to sympy, in
worker processes that are killed at the time limit.
"""

import concurrent.futures
import dataclasses
import math
import re
import time
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from rewards.algebra import rational, same_structure
from rewards.extract import Extraction, extract
from rewards.latex import Unreadable, clean, parse
from rewards.numbers import Number, read_number
from rewards.pool import Pool
from rewards.verdict import Verdict

TIMEOUT = 2.0

Decision = tuple[int, str, str | None]  # reward, reason, read as


class Checker:
    """Checks completions against golds; usable from any thread.

    `workers` processes are started when the first answer needs sympy, and each gets `timeout`
    seconds a check. Use it as a context manager or call `close`.
    """

    def __init__(self, workers: int = 1, timeout: float = TIMEOUT):
        if workers < 1 or timeout <= 0:
            raise ValueError("a checker needs at least one worker and a positive timeout")
        self.workers, self.timeout = workers, timeout
        self._pool = Pool(workers)

    def check(self, completion: str, gold: str) -> Verdict:
        """The verdict on one completion."""
        begun = time.perf_counter()
        found = extract(completion)
        decision = decide(found, gold)
        if isinstance(decision, tuple):
            reward, reason, read_as = decision
        else:
            reward, reason, read_as = self._by_sympy(decision)
        reason = f"{found.rule}: {reason}"
        return Verdict(reward, found.text, reason, time.perf_counter() - begun, read_as)

    def check_many(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """The verdicts on (completion, gold) pairs, in their order."""
        if self.workers == 1:
            return [self.check(completion, gold) for completion, gold in pairs]
        with concurrent.futures.ThreadPoolExecutor(self.workers) as threads:
            return list(threads.map(lambda pair: self.check(*pair), pairs))

    def _by_sympy(self, question: "Undecided") -> Decision:
        reward, reason = self._pool.ask(question.answer, question.gold, self.timeout)
        return reward, reason, question.read_as

    def close(self) -> None:
        """Stop the workers."""
        self._pool.close()

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Undecided:
    """Two readable texts that only sympy can compare."""

    answer: str
    gold: str
    read_as: str


def decide(found: Extraction, gold: str) -> Decision | Undecided:
    """Decide without sympy, or say what it has to compare."""
    if not found.parts:
        return 0, "no answer", None
    answer = ", ".join(_different(found.parts))
    number, gold_number = read_number(answer), read_number(gold)
    if number and gold_number:
        return int(same_number(number, gold_number)), "number", str(number)
    if normal_text(answer) == normal_text(gold):
        return 1, "same text", normal_text(answer)
    try:
        tree, gold_tree = parse(answer), parse(gold)
    except Unreadable:
        return 0, "text differs", normal_text(answer)
    a, b = rational(tree), rational(gold_tree)
    if a is not None and b is not None:
        return int(same_number(Number(a), Number(b))), "exact value", str(a)
    if not same_structure(tree, gold_tree):
        return 0, "structure differs", clean(answer)
    return Undecided(answer, gold, clean(answer))


def _different(parts: tuple[str, ...]) -> list[str]:
    """The parts without those that only repeat another's text or exact value."""
    kept: dict[object, str] = {}
    for part in parts:
        try:
            value: object = rational(parse(part))
        except Unreadable:
            value = None
        kept.setdefault(normal_text(part) if value is None else value, part)
    return list(kept.values())


def same_number(answer: Number, gold: Number) -> bool:
    """Equality of values; a decimal may stand for an exact gold by 6 significant digits of it.

    A gold in percent accepts the share and the number of percents; any other gold refuses %.
    """
    if answer.percent and not gold.percent:
        return False
    values = [gold.value]
    if gold.percent and not answer.percent:
        values.append(gold.value * 100)
    return any(_close(answer.value, v, decimal=answer.decimal) for v in values)


def _close(answer: Fraction, gold: Fraction, *, decimal: bool) -> bool:
    if answer == gold:
        return True
    if not decimal or gold.denominator == 1:
        return False
    leading = math.floor(math.log10(abs(gold.numerator)) - math.log10(gold.denominator))
    return abs(answer - gold) < Fraction(10) ** (leading - 5)  # rounded or cut off


def normal_text(text: str) -> str:
    """Words without case, spaces and \\text, for answers that are no formula."""
    text = re.sub(r"\\(?:text|mathrm|mbox|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\(?:left|right|displaystyle|,|!|;|:)(?![a-zA-Z])|\\?\$|\s", "", text)
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return text.strip(".").casefold()


_shared: dict[str, Any] = {}


def check(completion: str, gold: str) -> Verdict:
    """The verdict on one completion, by a checker that is kept for the whole process."""
    checker = _shared.setdefault("checker", Checker())
    return checker.check(completion, gold)
