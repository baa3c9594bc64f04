"""Numbers as people write them, read exactly: the cheap path that most checks take.

Integers with thousands separators, decimals, fractions, mixed numbers, percentages, scientific
notation, with a currency sign before or a unit after. Anything else is None, for the parser.
"""

import dataclasses
import functools
import re
from fractions import Fraction

from rewards.plain import plain
from rewards.units import split_unit

MAX_DIGITS = 2_000  # of a literal; longer ones are read by nobody
MAX_EXPONENT = 2_000

_FRACTION = re.compile(r"\\frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}|\\frac\s?(\d)(\d)(?!\d)")
_PERCENT = re.compile(r"\s*%|\s+percent(?:age)?$")
_SIMPLE = re.compile(
    r"(?P<sign>[-+]?)\s?(?P<whole>\d{1,3}(?:[, ]\d{3})+|\d+)?(?P<decimals>\.\d+)?(?:(?<=\d)\.)?"
    r"(?:(?:[eE]| ?(?:\*|\\times|\\cdot) ?10\^)\{?(?P<exponent>[-+]?\d{1,6})\}?)?"
    r"(?: ?/ ?(?P<under>\d+))?"
)
_MIXED = re.compile(r"(?P<sign>[-+]?)\s?(?P<whole>\d+)\s+(?P<over>\d+)\s?/\s?(?P<under>\d+)")
_INTEGER = re.compile(r"-?\d{1,15}")


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """An exact value. `decimal` says it has digits behind a decimal point, `percent` a % sign."""

    value: Fraction
    decimal: bool = False
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.value * 100}%" if self.percent else str(self.value)


@functools.lru_cache(maxsize=8192)
def read_number(text: str, *, with_unit: bool = False) -> Number | None:
    """The number `text` is, or None; `with_unit` allows a unit behind it."""
    if len(text) > MAX_DIGITS:
        return None
    if _INTEGER.fullmatch(text):
        return Number(Fraction(int(text)))
    text = plain(text).replace("- ", "-")
    if with_unit:
        text, _ = split_unit(text)
    text = _FRACTION.sub(lambda m: f" {m[1] or m[3]}/{m[2] or m[4]}", text).strip()
    percent = bool(_PERCENT.search(text))
    if percent:
        text = _PERCENT.sub("", text, count=1)
    value = _value(text)
    if value is None:
        return None
    decimal = "." in text and value.denominator != 1
    return Number(value / 100 if percent else value, decimal, percent)


def _value(text: str) -> Fraction | None:
    if found := _MIXED.fullmatch(text):
        under = int(found["under"])
        if not under:
            return None
        value = int(found["whole"]) + Fraction(int(found["over"]), under)
        return -value if found["sign"] == "-" else value
    found = _SIMPLE.fullmatch(text)
    if not found or not (found["whole"] or found["decimals"]):
        return None
    exponent = int(found["exponent"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    whole = re.sub("[, ]", "", found["whole"] or "0")
    value = Fraction(whole + (found["decimals"] or ""))
    if exponent:
        value *= Fraction(10) ** exponent
    if found["under"]:
        if found["decimals"] or exponent or not int(found["under"]):
            return None
        value /= int(found["under"])
    return -value if found["sign"] == "-" else value
