"""What belongs to a number in running text: its unit, its equation, its brackets."""

import re

from rewards.parse.parsed_text import read
from rewards.parse.tokens import MEASURED_IN
from rewards.parse.units import Unit, parse_unit, unit_behind

_SMALLER = re.compile(r"(?:,\s?(?:and\s)?|\sand\s|\s)(\d+(?:\.\d+)?)(?=\s?[a-zA-Z])")
_LARGER = re.compile(
    r"(?P<number>\d[\d,]*(?:\.\d+)?)\s?(?P<unit>[a-zA-Z]+)(?:,\s?(?:and\s)?|\sand\s|\s)$"
)
_ENDS_UNIT = re.compile(r"(?![\w^/])")
_LEFT_SIDE = re.compile(
    r"(?:\d+(?:\.\d+)?|(?<![a-zA-Z'’])(?:log|ln|sin|cos|tan|sqrt|[a-zA-Z])(?![a-zA-Z'’])"
    r"|[-+*/^(){}=√·×π ])+$"
)
_ARTICLE = re.compile(r"^\s*(?:[aAI]\s+(?=[\da-zA-Z(]))?")
_NAME = re.compile(r"[a-zA-Z](?:\([^()=]*\))?")
_ASSIGNED = r"(?<![\w^*/+-])(?<![-+*/] ){name}\s?=\s?\$?-?\d"
_LETTER = re.compile(r"(?<![a-zA-Z])[a-zA-Z](?![a-zA-Z])")
_TIMES = re.compile(r"(?:(?<=[\d)%])\s?|^|(?<=\s))[xX]\s?(?=[\d(.$])")  # 3 x 5
_NAMED = re.compile(r"\b(?:is|are|was|equals)\s+$|[:=]\s*$", re.IGNORECASE)
_MEASURED = re.compile(r"\b([a-zA-Z])\s?=\s?$")
_BEFORE, _BEHIND = 120, 80  # characters around a number that its formula may have
_CALL = r"sqrt|cbrt|arcsin|arccos|arctan|sin|cos|tan|ln|log|exp|pi|gcd|lcm|max|min|abs|sec|csc|cot"
_INNER = rf"(?:{_CALL}|[^()\[\]{{}}\na-zA-Z]|[a-zA-Z](?![a-zA-Z]))"
_PIECE = re.compile(
    r"(?P<border>[-=]+>|<<|>>|</?[a-zA-Z]+>|[aAI]\s(?=[\da-zA-Z(]))|[<>!]="
    r"|(?P<end>[$=:;?\n\x01]|\.(?!\d)|,(?!\d{3}))|\s+"
    rf"|[(\[{{](?:{_INNER}|[(\[]{_INNER}*[)\]])*[)\]}}]"
    rf"|(?<![a-zA-Z])(?:{_CALL})(?![a-zA-Z])|(?<![a-zA-Z'’])[a-zA-Z](?![a-zA-Z'’])"
    r"|\d[\d,]*(?<=\d)(?:\.\d+)?|\.\d+|[-−+*/^<>≤≥≠±∓√∛×·÷₀-₉|!∈∪∩∞πθ°_%]"
    r"|(?P<other>[^\W\d_]+|.)"
)
_OPERATION = re.compile(r"[-−+*/^<>≤≥≠±√∛×·÷π|∪∩∈(\[{]|[a-zA-Z]\(|" + _CALL)
_LOOSE_END = re.compile(r"(?:\s+[-−]\s+|\s)$")
_UNFINISHED = re.compile(r"[-−+*/^<>≤≥≠±√×·÷]$")
_LOOSE_SIGN = re.compile(r"\s*[-−+*/>]\s+")


def unit_end(text: str, start: int, end: int) -> int:
    """Where the unit of a number ends that stands at `start` to `end`; `end` if it has none."""
    found = _unit(text, start, end)
    if found is None:
        return end
    unit, end = found
    while more := _SMALLER.match(text, end):
        smaller = _unit(text, more.start(1), more.end())
        if smaller is None or not _is_smaller(smaller[0], unit):
            break
        unit, end = smaller
    return end


def with_larger_unit(text: str, start: int, end: int) -> int:
    """Where 3 hours and 20 minutes begins whose minutes stand at `start` to `end`."""
    unit = unit_behind(re.sub(r"^[\d,. ]+", "", text[start:end]), 0)
    while unit and (larger := _LARGER.search(text[max(0, start - 40) : start])):
        more = parse_unit(larger["unit"])
        if more is None or not _is_smaller(unit[0], more):
            break
        start -= len(larger.group())
        unit = (more, 0)
    return start


def _is_smaller(unit: Unit, than: Unit) -> bool:
    return unit.dimensions == than.dimensions and unit.factor < than.factor


def _unit(text: str, start: int, end: int) -> tuple[Unit, int] | None:
    found = unit_behind(text, end)
    if found is None or not _ENDS_UNIT.match(text, found[1]):
        return None
    word = text[end : found[1]]
    if word.endswith(" in") and re.match(r"\s+\w", text[found[1] :]):  # 5 in total, 5 cm in all
        unit = parse_unit(word[:-3])
        return (unit, found[1] - 3) if unit else None
    if len(word.rstrip(".")) == 1:
        name = _MEASURED.search(text[max(0, start - 12) : start])
        return (found[0], end + 1) if name and word[0] in MEASURED_IN.get(name[1], "") else None
    return found


def left_side(text: str, start: int) -> int:
    """Where the equation begins whose last side is the number at `start`; `start` if it is none.

    2x = 10 says nothing of 10, unless x was given before. A bare name or words on the left only
    name the number.
    """
    if not text[max(0, start - 3) : start].rstrip().endswith("="):
        return start
    line = text[max(0, start - 80) : start].rpartition("\n")[2]
    found = _LEFT_SIDE.search(line)
    if not found:
        return start
    side = found.group()
    side = side[_ARTICLE.match(side).end() :]  # type: ignore[union-attr]
    first = side.partition("=")[0].strip()
    letters = set(_LETTER.findall(_TIMES.sub("*", first)))
    if not letters or _NAME.fullmatch(first) or first.count("(") != first.count(")"):
        return start
    before = text[: start - len(side)][-2000:]
    is_equation = before.rstrip().endswith("equation is") or re.match(r"0(?!\.?\d)", text[start:])
    if _NAMED.search(before) and not is_equation:
        return start
    if all(re.search(_ASSIGNED.format(name=name), before) for name in letters):
        return start
    return start - len(side)


def formula_around(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The formula without dollar signs that a number stands in: (x+1)(x-2), 2 - i, x ≠ 3.

    It ends at words, commas, and equals signs. None where it is no more than the number.
    """
    offset = max(0, start - _BEFORE)
    begin = stop = None
    for piece in _PIECE.finditer(text, offset, end + _BEHIND):
        if piece.lastgroup is not None:
            if piece.start() >= end:
                break
            begin = stop = None
            continue
        begin = piece.start() if begin is None else begin
        stop = piece.end()
    if begin is None or stop is None or begin > start:
        return None
    found = text[begin:stop]
    if begin == offset > 0 or stop == end + _BEHIND or not _OPERATION.search(found):
        return None
    while dash := _LOOSE_SIGN.match(text, begin, stop):
        begin = dash.end()
    found = _LOOSE_END.sub("", text[begin:stop])
    begin, stop = begin + len(found) - len(found.lstrip()), begin + len(found)
    if begin > start or end > stop or text[max(0, begin - 1) : begin].isalnum():
        return None
    return (begin, stop) if not _UNFINISHED.search(found) and read(found).trees else None
