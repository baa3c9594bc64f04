"""Numbers as people write them, read exactly, without sympy.

Integers with thousands separators, decimals, fractions, mixed numbers, percentages, scientific
notation, with a currency sign before or a unit after. Anything else is None, for the algebra.
"""

import dataclasses
import re
from fractions import Fraction

MAX_DIGITS = 2_000  # of a literal; longer ones are not answers
MAX_EXPONENT = 2_000

_SPACES = re.compile(r"(?:\\[,!;: ]|\\quad|~|\s)+")
_WRAPPERS = re.compile(r"\\(?:left|right|displaystyle|,|!)(?![a-zA-Z])")
_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}|\\[dt]?frac(\d)(\d)(?!\d)")


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """An exact value. `decimal` says it was written with a decimal point, `percent` with %."""

    value: Fraction
    decimal: bool = False
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.value * 100}%" if self.percent else str(self.value)


def read_number(text: str) -> Number | None:
    """The number `text` is, or None."""
    if len(text) > MAX_DIGITS:
        return None
    text = _WRAPPERS.sub("", text.strip()).replace("{,}", ",").replace("\\!", "")
    text = text.strip("$ ").removeprefix("\\$").lstrip("$€£ ")
    text = text.replace("−", "-").replace("\\$", "")
    text = _FRACTION.sub(lambda m: f" {m[1] or m[3]}/{m[2] or m[4]}", text).strip()
    text = _SPACES.sub(" ", text).strip()
    text = re.sub(r" ?/ ?", "/", text)
    if text.startswith("- "):
        text = "-" + text[2:]
    if text.startswith("-$"):
        text = "-" + text[2:]
    found = _MIXED.fullmatch(text)
    if found:
        whole, over, under = int(found["whole"]), int(found["over"]), int(found["under"])
        if under == 0:
            return None
        value = whole + Fraction(over, under)
        return _signed(value, found["sign"], found["percent"], decimal=False)
    found = _SIMPLE.fullmatch(text)
    if not found or not (found["whole"] or found["decimals"]):
        return None
    exponent = int(found["exponent"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    whole_text = (found["whole"] or "0").replace(",", "")
    value = Fraction(whole_text + (found["decimals"] or "")) * Fraction(10) ** exponent
    if found["under"]:
        if found["decimals"] or not int(found["under"]):
            return None
        value /= int(found["under"])
    return _signed(value, found["sign"], found["percent"], decimal=bool(found["decimals"]))


def _signed(value: Fraction, sign: str, percent: str | None, *, decimal: bool) -> Number:
    value = -value if sign == "-" else value
    return Number(value / 100 if percent else value, decimal=decimal, percent=bool(percent))


_UNIT = (
    r"(?: ?(?:\\(?:text|mathrm|mbox)\{[^{}]*\}|\^?\\circ|\^\{\\circ\}|°"
    r"|[A-Za-z][A-Za-z.]*(?:[ -][A-Za-z][A-Za-z.]*){0,5}))?\.?"
)
_SIMPLE = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>\d{1,3}(?:,\d{3})+|\d+)?(?P<decimals>\.\d+)?(?:(?<=\d)\.)?"
    r"(?:(?:[eE]| ?(?:\*|\\times|\\cdot) ?10\^)\{?(?P<exponent>[-+]?\d{1,6})\}?)?"
    r"(?:/(?P<under>\d+))?"
    r"(?: ?(?P<percent>\\?%))?" + _UNIT
)
_MIXED = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>\d+) (?P<over>\d+)/(?P<under>\d+)(?P<percent>\\?%)?" + _UNIT
)
