"""Numbers as people write them, read exactly: the cheap path that most checks take.

Integers with thousands separators, decimals, fractions, mixed numbers, percentages, scientific
notation. Anything else is None, for the parser.
"""

import re
from fractions import Fraction

from rewards.parse.tokens import Unreadable
from rewards.parse.tree import Number, Tree

MAX_DIGITS = 2_000  # of a literal; longer ones are read by nobody
MAX_EXPONENT = 2_000

_FRACTION = re.compile(r"(-?)\\frac\s*(?:\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}|\s?(\d)(\d)(?!\d))")
_SIMPLE = re.compile(
    r"(?P<sign>[-+]?)\s?(?P<whole>\d{1,3}(?:[, ]\d{3})+|\d+)?(?P<decimals>\.\d+)?(?:(?<=\d)\.)?"
    r"(?:(?:[eE]| ?(?:\*|\\times|\\cdot) ?10\s?\^)\s?\{?(?P<exponent>[-+]?\d{1,6})\}?)?"
    r"(?: ?/ ?(?P<under>\d+))?"
)
_MIXED = re.compile(r"(?P<sign>[-+]?)\s?(?P<whole>\d+)\s+(?P<over>\d+)\s?/\s?(?P<under>\d+)")


def read_number(normal: str) -> Number | None:
    """The number that a normalised text is as a whole, or None."""
    if len(normal) > MAX_DIGITS:
        return None
    if normal.isdecimal() and normal.isascii():
        return Number(Fraction(int(normal)))
    text = normal.replace("- ", "-")
    if found := _FRACTION.fullmatch(text):
        sign, over, under = found[1], found[2] or found[4], int(found[3] or found[5])
        return Number((-1 if sign else 1) * Fraction(int(over), under)) if under else None
    if found := _MIXED.fullmatch(text):
        if not int(found["under"]):
            return None
        value = int(found["whole"]) + Fraction(int(found["over"]), int(found["under"]))
        return Number(-value if found["sign"] == "-" else value)
    return _simple(text)


def _simple(text: str) -> Number | None:
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
    decimal = bool(found["decimals"]) and value.denominator != 1
    return Number(-value if found["sign"] == "-" else value, decimal)


def literal_in_base(digits: str, base: Tree) -> Number:
    """`1200_7`; raises Unreadable where there is no such base or digit."""
    if not isinstance(base, Number) or not 2 <= base.value <= 36 or base.value.denominator != 1:
        raise Unreadable("a number base is between 2 and 36")
    try:
        return Number(Fraction(int(digits, int(base.value))), base=int(base.value))
    except ValueError:
        raise Unreadable(f"{digits} has no such base") from None


def repeating_decimal(mantissa: str, block: str | None) -> Fraction:
    """0.1 followed by a block without end; or 0.1666…, if its end is there at least twice."""
    whole, _, decimals = mantissa.partition(".")
    if block is None:
        for length in range(1, len(decimals) // 2 + 1):
            block = decimals[-length:]
            if decimals.endswith(block * 2) and (length > 1 or decimals.endswith(block * 3)):
                decimals = decimals[:-length]
                break
        else:
            raise Unreadable("an unfinished decimal")
    if not (block.isascii() and block.isdigit()):
        raise Unreadable("a repeating decimal repeats digits")
    shift = 10 ** len(decimals)
    return Fraction(int(whole or "0") * shift + int(decimals or "0"), shift) + Fraction(
        int(block), (10 ** len(block) - 1) * shift
    )
