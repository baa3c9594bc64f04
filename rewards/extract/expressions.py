"""Formulas and numbers in running text, each with all that belongs to it."""

import re
from typing import NamedTuple

from rewards.extract.surroundings import formula_around, left_side, unit_end, with_larger_unit
from rewards.parse.modifiers import is_compared, is_denied, is_set_aside
from rewards.parse.units import parse_unit

TAIL = 50_000  # characters of the end of a completion that are searched for unmarked answers
MAX_PARTS = 50

# Each alternative begins with its own character, which is what a search then looks for.
EMPHASIS = re.compile(
    r"\*\*(?<![\w)]\*\*)|\*\*(?![\w(-])|__"
    r"|\*(?<![\w\s)}\d*]\*)(?=[^\s*])|\*(?<=[^\s*]\*)(?![\w\s({\\*])|`|#(?<![^\n]#)#* ",
)
FORMULA = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\$(?<!\\\$)([^$\n]{1,2000})(?<!\\)\$(?!\d)"
    r"|\$(?<!\\\$)\$?(\\\$[^$\n]{1,200})\$\$?(?!\d)"  # $\$5$
    r"|\\\(((?:[^\\\n]|\\[^()\n]){1,2000})\\\)|\\\[((?:[^\\]|\\[^\[\]]){1,2000})\\\]",
)
_BARE = re.compile(  # LaTeX without dollar signs
    FORMULA.pattern
    + r"|(?P<bare>(?:\\(?:text|mathrm|mbox|begin|end|operatorname)\s?\{[^{}]*\}|\\[a-zA-Z]+"
    r"|\\[^a-zA-Z\s()\[\]]|(?<![a-zA-Z'’])(?!a\s)[a-zA-Z](?![a-zA-Z'’])"
    r"|\d[\d.]*(?<=\d)|\.(?=\d)|[-−+*/^_=<>(){}\[\]|&,%!' ])+)"
)
_NUMBER = re.compile(
    r"(?:(?<![\w)])[-+])?(?:\\?[$€£]\s?)?(?:\d{1,3}\s(?=\d{1,2}\s?/\s?\d))?"
    r"(?:(?:\d{1,3}(?:(?:,\d{3})+|(?: \d{3}){2,})|\d{1,2}(?:,\d{2})+,\d{3})(?!\d)"
    r"(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+)"
    r"(?:[eE][-+]?\d{1,4}(?!\w))?(?:\s?/\s?\d+(?![\d/]))?(?:\s?\\?%)?"
)
_COPULA = re.compile(r"\b(?:is|are|was|were|equals|be|becomes|gives)\b|为|是|等于|=", re.IGNORECASE)
_OPERAND = r"(?:[\w.,()√π∛{}\\]{1,40})"
# What a number takes with it where no formula around it can be read.
_RIGHT = re.compile(
    rf"[₀-₉°!]+(?![\w=])|\s?[\^*×·÷_]\s?{_OPERAND}|\s?/\s?(?![a-zA-Z]{{2}}){_OPERAND}"
    rf"|[a-zA-Z(]{_OPERAND}?|\+(?=\s*(?:$|[.,;)a-z]))"
)
_LEFT = re.compile(
    rf"(?:{_OPERAND}?(?:[\^_(√/*×·÷]\s?|\s?≈\s?|\d:|\d\s:\s|\d-to-|\d\s(?:in\s)?base[\s-]|\d\s(?:out\sof|in|of|to|mod|through)\s)"
    r"|[A-Za-z]{1,12}|(?:^|(?<=\s))[≤≥<>]=?\s?)$"
)
_NAME = re.compile(r"\b[a-zA-Z]\s?=\s?-?$")
_SIGN_WORD = re.compile(r"\b(?:negative|minus)\s+$", re.IGNORECASE)
_SCALE_WORD = re.compile(
    r"\s+(?:dozen|hundred|thousand|million|billion|trillion|squared|cubed|factorial"
    r"|(?:degrees\s+)?(?:below|under)\s+zero)\b|[万亿千百]",
    re.IGNORECASE,
)
_STEP = re.compile(r"\b(?:[Ss]tep|Case|Part|Method|Example|Figure|Question|Problem|Equation)\s$")
_ITEM = re.compile(r"[.)]\s+[A-Za-z*$\\]")
_CHANGED = re.compile(r"\bfrom\s\S{1,20}\sto\s$", re.IGNORECASE)  # from 3 to 5: 5
_CURRENCY = re.compile(r"(?:Rs\.?|USD|EUR|US)$")
_PROSE = re.compile(r"[a-zA-Z]{2}")


class Found(NamedTuple):
    """A piece of a text and where it stands."""

    start: int
    end: int
    text: str


def formulas(text: str) -> list[Found]:
    """What stands between dollar signs or the brackets of a formula."""
    return [Found(m.start(), m.end(), inside(m).strip()) for m in FORMULA.finditer(text)]


def with_dollar_signs(text: str) -> str:
    """The text with dollar signs around LaTeX that has none."""
    return _BARE.sub(_marked, text) if "\\" in text else text


def _marked(found: re.Match[str]) -> str:
    bare = (found["bare"] or "").strip(" ,")
    return found[0].replace(bare, f"${bare}$") if re.search(r"\\[a-zA-Z!,]", bare) else found[0]


def inside(formula: re.Match[str]) -> str:
    return next(part for part in formula.groups() if part is not None)


def number_spans(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in _NUMBER.finditer(text)]


def whole_expression(text: str, start: int, end: int) -> Found | None:
    """The number at `start` with all that is glued to it: 24π, 2^3, 3x, negative 5, 5 million.

    None where it is said not to be the answer.
    """
    if re.search(r"\d\.$", text[max(0, start - 2) : start]) or re.match(r"\.\d", text[end:]):
        return None  # 1.5.2
    if _is_aside(text, start, end):
        return None
    number = start
    behind = unit_end(text, start, end)
    formula = formula_around(text, start, end)
    if formula and (behind == end or formula[1] <= behind):
        start, end, unit = formula[0], max(formula[1], behind), text[end:behind]
    else:
        start, end, unit = _with_neighbours(text, start, end)
    before = text[max(0, start - 60) : start]
    if scale := _SCALE_WORD.match(text, end):
        end = scale.end()
    if sign := _SIGN_WORD.search(before):
        start -= len(sign.group())
    said = text[start:end].strip()
    if said.count("(") > said.count(")") and text.startswith(")", end):
        said, end = f"{said})", end + 1
    if parse_unit(said):
        return None  # cm^2
    while (
        not formula
        and said.endswith((".", ",", ")"))
        and said.count("(") < said.count(")") + (said[-1] != ")")
    ):
        said = said[:-1]
    is_prose = _PROSE.search(before.rpartition("\n")[2]) and not re.match(r"\s[a-z]", text[end:])
    if said.endswith("!") and is_prose:
        said = said.rstrip("!")
    name = _NAME.search(text[max(0, start - 8) : start]) if len(unit) == 1 else None
    begin = start - len(name.group()) if name else left_side(text, start)
    before = text[max(0, begin - 60) : begin]
    refused = is_denied(before) or is_compared(before)
    refused |= start < number and is_set_aside(before, "")  # since 7 > 6
    return None if refused else Found(begin, end, text[begin:start] + said)


def _is_aside(text: str, start: int, end: int) -> bool:
    """Whether a number belongs to a condition (at x = 2), or counts the items of a list."""
    before = text[max(0, start - 60) : start]
    if is_set_aside(before, text[end : end + 40]) or _STEP.search(before):
        return True
    item = _ITEM.match(text, end) and text[start:end].isdigit() and text[start:end]
    if not item or text[text.rfind("\n", 0, start) + 1 : start].strip() or len(item) > 2:
        return False
    return bool(re.search(rf"^\s{{0,4}}{int(item) - 1}[.)]\s", text[:start], re.M))


def _with_neighbours(text: str, start: int, end: int) -> tuple[int, int, str]:
    """Where a number begins and ends with its operators, letters and unit; and that unit."""
    unit = text[end : unit_end(text, start, end)]
    end += len(unit)
    if unit:
        start = with_larger_unit(text, start, end)
    right = left = 0
    while not unit and right < 10 and (more := _RIGHT.match(text, end)):
        end, right = more.end(), right + 1
    before = text[max(0, start - 60) : start]
    while left < 10 and (more := _LEFT.search(before)):
        in_days = unit and more.group().endswith(" in ")  # 50 miles in 5 days
        if in_days or _CURRENCY.search(before) or _CHANGED.search(before) or not more.group():
            break
        start, left = start - len(more.group()), left + 1
        before = text[max(0, start - 60) : start]
    return start, end, unit


def stated_values(sentence: str) -> tuple[str, ...]:
    """The values that a sentence states: behind its last "is", formulas before numbers, or all.

    Empty where one of them is said not to be the answer.
    """
    if _PROSE.search(_BARE.sub(" ", sentence)):
        sentence = with_dollar_signs(sentence)
    hidden = FORMULA.sub(lambda m: "\x01" * len(m.group()), sentence)
    starts = [m.end() for m in _COPULA.finditer(hidden)]
    for start in [*reversed(starts[-3:]), 0]:
        values = _values(sentence, start)
        if values is None:
            return ()
        if values:
            return values
    return ()


def _values(text: str, start: int) -> tuple[str, ...] | None:
    """The values of a text from `start` on; None where one is said not to be the answer."""
    found = [one for one in formulas(text) if one.start >= start]
    if found:
        refused = any(is_denied(text[max(0, one.start - 60) : one.start]) for one in found)
        return None if refused else tuple(one.text for one in found[:MAX_PARTS])
    values: list[str] = []
    last_end = start
    for begin, end in number_spans(text)[: 2 * MAX_PARTS]:
        if begin < last_end:
            continue
        whole = whole_expression(text, begin, end)
        if whole is None:
            before = text[max(0, begin - 60) : begin]
            if is_denied(before) or is_compared(before):
                return None
            continue
        values.append(whole.text)
        last_end = whole.end
    return tuple(values[:MAX_PARTS])
