"""The checker: extraction, then comparison, then a verdict."""

import time
from collections.abc import Iterable
from fractions import Fraction

from rewards.extract import extract
from rewards.numbers import Number, read_number
from rewards.verdict import Verdict


def check(completion: str, gold: str) -> Verdict:
    """Whether the completion's answer equals the gold."""
    begun = time.perf_counter()
    found = extract(completion)
    reward, reason, read_as = _decide(found.parts, gold)
    return Verdict(reward, found.text, f"{found.rule}: {reason}", time.perf_counter() - begun, read_as)


def _decide(parts: tuple[str, ...], gold: str):
    if not parts:
        return 0, "no answer", None
    if len(parts) > 1:
        return 0, "several answers", None
    a, b = read_number(parts[0]), read_number(gold)
    if a and b:
        return int(same_number(a, b)), "number", str(a)
    return int(parts[0].strip() == gold.strip()), "text", None


def same_number(answer: Number, gold: Number) -> bool:
    if gold.percent:
        return answer.value == gold.value or (not answer.percent and answer.value == gold.value * 100)
    if answer.percent:
        return False
    return answer.value == gold.value


class Checker:
    def __init__(self, workers: int = 1, timeout: float = 2.0): ...

    def check_many(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        return [check(c, g) for c, g in pairs]
