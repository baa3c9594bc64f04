"""An extracted answer against a gold: decided here where that is cheap, else left to a worker."""

import dataclasses
import functools
import re
from typing import Literal

from rewards.equality.arithmetic import Answer, PreciseArithmetic, QuickArithmetic
from rewards.equality.labels import contradict
from rewards.equality.series import computed
from rewards.equality.shape import has_final_form
from rewards.equality.structures import same_meaning
from rewards.equality.values import agree_to_six_digits
from rewards.extract import Extraction, extract
from rewards.extract.expressions import stated_values
from rewards.parse import tree as t
from rewards.parse.normalize import without_spaces
from rewards.parse.parsed_text import ParsedText, is_known, read

Form = Literal["value", "final"]
Decision = tuple[int, str, str | None]  # reward, reason, read as

LONG = 20_000  # characters beyond which an answer is only compared as text
_QUICK, _PRECISE = QuickArithmetic(), PreciseArithmetic()
_LETTERS = re.compile(r"[a-z]{3,}")
_CHOICES = re.compile(r"\(?[A-H]\)?(?:\s*(?:,|;|and|,\s*and)?\s*\(?[A-H]\)?){1,7}")
_OTHER_CHOICE = re.compile(r"\([A-J]\)|\b(?:or|and|not|nor)\s+\(?[A-J]\b", re.IGNORECASE)
_ANSWERED_CHOICE = re.compile(
    r"(?i:(?:the\s)?(?:correct\s)?(?:option|choice|answer)\s?(?:is\s)?:?\s*)?"
    r"(?:\(\s*([A-Ja-j])\s*\)(?P<behind>[\s.:,].*)?|([A-J])(?P<more>[.:)](?:\s.*)?)?|([a-j])\)?)",
    re.S,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Undecided:
    """Two readable texts that take more than cheap arithmetic to compare."""

    answer: str
    gold: str
    form: Form
    read_as: str


def compare(found: Extraction, gold: str, form: Form = "value") -> Decision | Undecided:
    """The decision on an extracted answer, or what is left to compare."""
    if not found.parts:
        return 0, "no answer", None
    if sum(map(len, found.parts)) > LONG:
        return int(found.text == gold), "too long to be read", None
    return _compare(found.parts, found.rule != "boxed", gold, form)


@functools.lru_cache(maxsize=8192)
def _compare(
    parts: tuple[str, ...], in_sentence: bool, gold: str, form: Form
) -> Decision | Undecided:
    answer = parts[0] if len(parts) == 1 else ", ".join(_different(parts))
    decision = _compared(answer, gold_of(gold), form, _QUICK)
    if not isinstance(decision, tuple) or decision[0]:
        return decision
    if in_sentence and decision[1] == "unreadable":
        values = tuple(_different(stated_values(answer)))
        if values and ", ".join(values) != answer:
            return _compare(values, False, gold, form)
    return decision


@functools.lru_cache(maxsize=4096)
def gold_of(gold: str) -> str:
    """The answer in a gold that is a whole text: a worked solution, a box, a sentence."""
    if "\\boxed" in gold or "\\fbox" in gold or "####" in gold:
        return extract(gold, strict=True).text or gold
    parsed = read(gold, is_gold=True)
    if parsed.number or parsed.trees or " " not in parsed.normal:
        return gold
    if "$" in gold or "\n" in gold or len(gold) > 40:
        found = extract(gold, strict=True)
        if found.text:
            gold = found.text
        values = stated_values(gold)
        if len(values) == 1 and re.search(r"\b(?:is|are|equals)\b|=", gold):
            return values[0]
    return gold


def _compared(answer: str, gold: str, form: Form, arithmetic: QuickArithmetic):
    mine, theirs = read(answer), read(gold, is_gold=True)
    try:
        verdict, rule = _same_reading(mine, theirs, form, arithmetic)
    except Exception as error:  # an answer is hostile input: whatever it provokes, it is wrong
        return 0, f"cannot be compared ({type(error).__name__})", mine.normal[:500]
    if verdict is None:
        return Undecided(answer, gold, form, mine.normal)
    return int(verdict), rule, mine.normal[:500]


def compare_precisely(question: Undecided) -> Decision:
    """The rest of a decision; takes as long as it takes, so only where it can be killed."""
    found = _compared(question.answer, question.gold, question.form, _PRECISE)
    if isinstance(found, Undecided):
        return 0, "cannot be compared", question.read_as
    return found


def _same_reading(
    answer: ParsedText, gold: ParsedText, form: Form, arithmetic: QuickArithmetic
) -> tuple[Answer, str]:
    """Whether the readings mean the same (None: the arithmetic cannot tell), and the rule."""
    if answer.number and gold.number:
        other_money = answer.money != gold.money and bool(answer.money and gold.money)
        return not other_money and _same_number(answer.number, gold.number), "number"
    choice = _same_choice(answer, gold)
    if choice is not None:
        return choice, "choice"
    if without_spaces(answer.without_font) == without_spaces(gold.without_font):
        return True, "same text"
    if _LETTERS.fullmatch(answer.words) and _LETTERS.fullmatch(gold.words):
        lists = [tree for tree in (*answer.trees, *gold.trees) if isinstance(tree, t.List)]
        known = is_known(answer.words) and is_known(gold.words)
        if answer.words == gold.words or not (lists or known):
            return answer.words == gold.words, "words"
    golds = gold.trees
    if (wanted := gold.choice()) and wanted[1]:
        golds = read(wanted[1], is_gold=True).trees
    if not answer.trees or not golds:
        if answer.words == gold.words and answer.words:
            return True, "same words"
        return False, "unreadable" if not answer.trees else "text differs"
    verdict, rule = _same_trees(answer.trees, golds, form, arithmetic)
    if verdict and contradict(answer.normal, gold.normal):
        return False, "words differ"
    return verdict, rule


def _same_trees(
    answers: tuple[t.Tree, ...], golds: tuple[t.Tree, ...], form: Form, arithmetic: QuickArithmetic
) -> tuple[Answer, str]:
    verdicts: list[Answer] = []
    for a in answers:
        for g in golds:
            verdict = same_meaning(computed(a), computed(g), arithmetic)
            if verdict is not True and t.calls(g, "ln") and not t.calls(a, "ln"):
                natural = same_meaning(
                    computed(_natural(a)), computed(g), arithmetic
                )  # log is ln where the gold says
                verdict = natural if natural is not False else verdict
            if verdict and form == "final" and not has_final_form(a, g):
                return False, "not in final form"
            if verdict:
                return True, _rule(g)
            verdicts.append(verdict)
    return (None if None in verdicts else False), _rule(golds[0])


def _natural(tree: t.Tree) -> t.Tree:
    """The tree with `log` without a base as the natural logarithm."""
    if isinstance(tree, t.Call) and tree.name == "log" and len(tree.arguments) == 1:
        return t.Call("ln", (_natural(tree.arguments[0]),))
    return t.with_parts(tree, _natural)


def _same_choice(answer: ParsedText, gold: ParsedText) -> bool | None:
    """For a gold that is a choice, or several; None where the answer names none."""
    wanted = gold.choice()
    text = answer.without_font.strip("{}")
    if wanted is None:
        if _CHOICES.fullmatch(gold.without_font) and _CHOICES.fullmatch(text):
            mine, theirs = (re.findall(r"[A-H]", x) for x in (text, gold.without_font))
            joined = [x for x in (text, gold.without_font) if re.fullmatch(r"[A-H]+", x)]
            if len(joined) < 2 and len(set(theirs)) == len(theirs):
                return set(mine) == set(theirs) and len(mine) == len(theirs)
        return None
    found = _ANSWERED_CHOICE.fullmatch(text)
    if not found:
        return None
    behind = found["behind"] or found["more"] or ""
    if _OTHER_CHOICE.search(behind):
        return False
    letter = found[1] or found[3] or found[5]
    if letter.upper() != wanted[0]:
        return False
    number, other = read(behind.strip(" .:,)")).number, read(wanted[1]).number
    return number is None or other is None or _same_number(number, other)


def _same_number(answer: t.Number, gold: t.Number) -> bool:
    if answer.value == gold.value:
        return True
    decimal = answer.decimal or gold.decimal
    return decimal and agree_to_six_digits(answer.value, gold.value, gold.decimal)


def _different(parts: tuple[str, ...]) -> list[str]:
    """The parts without those that only repeat another's text or exact value."""
    kept: dict[object, str] = {}
    for part in parts:
        parsed = read(part)
        value = parsed.number.value if parsed.number else without_spaces(parsed.normal)
        kept.setdefault(value, part)
    return list(kept.values())


_RULES: dict[type, str] = {
    t.List: "list", t.Set: "set", t.Tuple: "tuple", t.Matrix: "matrix", t.Ratio: "ratio",
    t.Relation: "relation", t.Assignment: "assignment", t.SetOperation: "interval",
    t.Member: "interval", t.Quantity: "quantity",
}  # fmt: skip


def _rule(gold: t.Tree) -> str:
    return _RULES.get(type(gold), "value")
