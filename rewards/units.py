"""Units behind a value: known ones are converted to each other, others are set aside."""

import re
from fractions import Fraction

_LENGTH = {
    "mm": "1/1000", "millimeter": "1/1000", "cm": "1/100", "centimeter": "1/100", "m": "1",
    "meter": "1", "metre": "1", "km": "1000", "kilometer": "1000", "kilometre": "1000",
    "in": "127/5000", "inch": "127/5000", "inches": "127/5000", "ft": "381/1250",
    "foot": "381/1250", "feet": "381/1250", "yd": "1143/1250", "yard": "1143/1250",
    "mi": "201168/125", "mile": "201168/125",
}  # fmt: skip
_TIME = {
    "s": "1", "sec": "1", "second": "1", "min": "60", "minute": "60", "h": "3600", "hr": "3600",
    "hour": "3600", "day": "86400", "week": "604800",
}  # fmt: skip
_MASS = {
    "mg": "1/1000", "g": "1", "gram": "1", "kg": "1000", "kilogram": "1000",
    "lb": "45359237/100000", "pound": "45359237/100000", "oz": "45359237/1600000",
    "ounce": "45359237/1600000",
}  # fmt: skip
_MONEY = {"cent": "1/100", "¢": "1/100", "dollar": "1", "usd": "1"}
_VOLUME = {"ml": "1/1000", "milliliter": "1/1000", "l": "1", "liter": "1", "litre": "1"}
_KINDS = {
    "length": _LENGTH, "time": _TIME, "mass": _MASS, "money": _MONEY, "volume": _VOLUME,
}  # fmt: skip
_UNITS = {
    name: (kind, Fraction(factor))
    for kind, table in _KINDS.items()
    for name, factor in table.items()
}

_WORDS = r"[a-zA-Z¢][a-zA-Z.]*(?:[ /-]{1,2}[a-zA-Z][a-zA-Z.]*){0,6}"
_POWER = r"(?:\s*\^\s*(?:\{\s*-?[123]\s*\}|-?[123]))?"
_TEXT = (
    rf"(?:\\text\s*\{{(?P<text>[^{{}}]*)\}}{_POWER}(?:\s*/?\s*\\text\s*\{{[^{{}}]*\}}{_POWER})*)"
)
_TRAILING = re.compile(
    rf"(?<=[\d)}}\]!])(?P<gap>\s*)(?:\^\\circ\s*(?P<scale>[CF])|(?P<circ>\^\\circ\s*)?(?:{_TEXT}"
    rf"|(?P<plain>{_WORDS}){_POWER}))\s*$"
)
_NO_UNIT = re.compile(
    r"\b(?:and|or|pi|sqrt|sin|cos|tan|ln|log|e|i|x|y|z|base|U|u|choose|in|to)\b|\\"
)


def split_unit(text: str) -> tuple[str, str | None]:
    """A plain text without the unit at its end, and the unit, if there is one.

    A single letter counts as one only in `\\text{…}`, or where it is a known unit behind a space
    and a number: `5 m` is a length, `5m` five times m.
    """
    tail_at = max(0, len(text) - 200)
    found = _TRAILING.search(text, tail_at)
    if not found:
        return text, None
    if found["scale"]:
        return text[: found.start()], None
    words = found["text"] if found["text"] is not None else found["plain"]
    words = words.strip()
    value = text[: found.start()].rstrip()
    if found["text"] is not None:
        return (value, words) if words and not _NO_UNIT.match(words) else (text, None)
    known = words.rstrip(".").casefold().removesuffix("s") in _UNITS or words.casefold() in _UNITS
    if _NO_UNIT.search(words) or re.search(
        r"[a-zA-Z]", re.sub(r"\\[a-zA-Z]+|\\text\{.*\}", "", value)
    ):
        return text, None
    if known and (len(words) > 1 or found["gap"]):
        return value, words
    if len(words) > 2 and (found["gap"] or len(words) > 3):
        return value, words
    return text, None


def factor(unit: str | None, other: str | None) -> Fraction | None:
    """What a value in `unit` is multiplied by to be one in `other`; None if that cannot be.

    1 where either is unknown or missing: problems name units that golds leave out.
    """
    a, b = _known(unit), _known(other)
    if a is None or b is None:
        return Fraction(1)
    return a[1] / b[1] if a[0] == b[0] else None


def _known(unit: str | None) -> tuple[str, Fraction] | None:
    name = (unit or "").strip().rstrip(".").casefold()
    return _UNITS.get(name) or _UNITS.get(name.removesuffix("s"))
