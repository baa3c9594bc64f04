"""An extracted answer against a gold: decided here where that is cheap, by `settle` elsewhere."""

import dataclasses
import functools

from rewards.extract import Extraction, every_expression
from rewards.judges import Precise, Quick
from rewards.numbers import Number, read_number
from rewards.reading import close_text, read, same
from rewards.values import six_digits

Decision = tuple[int, str, str | None]  # reward, reason, read as

LONG = 20_000  # characters beyond which an answer is only compared as text
_QUICK, _PRECISE = Quick(), Precise()


@dataclasses.dataclass(frozen=True, slots=True)
class Undecided:
    """Two readable texts that take more than cheap arithmetic to compare."""

    answer: str
    gold: str
    read_as: str


def decide(found: Extraction, gold: str) -> Decision | Undecided:
    """The decision on an extracted answer, or what is left to compare."""
    if not found.parts:
        return 0, "no answer", None
    if sum(map(len, found.parts)) > LONG:
        return int(found.text == gold), "too long to be read", None
    return _decide(found.parts, found.rule != "boxed", gold)


@functools.lru_cache(maxsize=8192)
def _decide(parts: tuple[str, ...], in_sentence: bool, gold: str) -> Decision | Undecided:
    answer = _joined(parts)
    gold_number = read_number(gold)
    if gold_number and (number := read_number(answer, with_unit=True)):
        return int(same_number(number, gold_number)), "number", str(number)
    decision = _compared(answer, gold, _QUICK)
    if in_sentence and isinstance(decision, tuple) and decision[:2] == (0, "unreadable"):
        values = _different(every_expression(answer))
        if values and ", ".join(values) != answer:
            return _decide(tuple(values), False, gold)
    return decision


def _joined(parts: tuple[str, ...]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(_different(parts))


def _compared(answer: str, gold: str, judge: Quick) -> Decision | Undecided:
    mine, theirs = read(answer), read(gold)
    try:
        verdict, rule = same(mine, theirs, judge)
    except Exception as error:  # an answer is hostile input: whatever it provokes, it is wrong
        return 0, f"cannot be compared ({type(error).__name__})", mine.text[:500]
    if verdict is None:
        return Undecided(answer, gold, mine.text)
    return int(verdict), rule, mine.text[:500]


def decide_precisely(question: Undecided) -> Decision:
    """The rest of a decision; takes as long as it takes, so only where it can be killed."""
    found = _compared(question.answer, question.gold, _PRECISE)
    if isinstance(found, Undecided):
        return 0, "cannot be compared", question.read_as
    return found


def _different(parts: tuple[str, ...]) -> list[str]:
    """The parts without those that only repeat another's text or exact value."""
    kept: dict[object, str] = {}
    for part in parts:
        number = read_number(part, with_unit=True)
        kept.setdefault(number.value if number else close_text(read(part).text), part)
    return list(kept.values())


def same_number(answer: Number, gold: Number) -> bool:
    """Equality of values; a decimal may stand for another value by 6 significant digits of it.

    A gold in percent accepts the share and the number of percents.
    """
    golds = [gold.value]
    if gold.percent and not answer.percent:
        golds.append(gold.value * 100)
    if answer.value in golds:
        return True
    if not (answer.decimal or gold.decimal):
        return False
    return any(six_digits(answer.value, value, gold.decimal) for value in golds)
