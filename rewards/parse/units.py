"""Units: what they measure and by what factor, so that 500 cm is 5 m and never 500 m.

A unit that is not known (apples, per student) changes nothing: golds leave out what problems name.
"""

import dataclasses
import functools
import re
from collections import Counter
from fractions import Fraction


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """The powers of what is measured, such as (("length", 1), ("time", -1)), and the factor."""

    dimensions: tuple[tuple[str, int], ...]
    factor: Fraction


_TABLE = {
    "length": {
        "m|meter|metre|米": "1", "in|inch|inches": "127/5000", "ft|foot|feet": "381/1250",
        "yd|yard": "1143/1250", "mi|mile": "201168/125", "micron": "1/1000000",
        "千米|公里": "1000", "分米": "1/10", "厘米": "1/100", "毫米": "1/1000",
    },
    "time": {
        "s|sec|second|秒": "1", "min|minute|分钟": "60", "h|hr|hour|小时": "3600",
        "day|天": "86400", "week|wk": "604800", "month": "2629800", "year|yr|年": "31557600",
        "decade": "315576000", "century|centuries": "3155760000",
    },
    "mass": {
        "g|gram|gm|克": "1", "lb|pound|lbs": "45359237/100000", "ounce|oz": "45359237/1600000",
        "千克|公斤": "1000", "吨": "1000000",
    },
    "money": {"cent|分": "1/100", "dollar|usd|buck": "1"},
    "euro": {"euro|eur": "1"}, "sterling": {"gbp|pence": "1"}, "yuan": {"yuan|rmb|元": "1"},
    "rupee": {"rupee|inr": "1"},
    "temperature": {"K|kelvin": "1"}, "celsius": {"celsius": "1"},
    "fahrenheit": {"fahrenheit": "1"}, "current": {"A|amp|ampere": "1"},
    "angle": {"rad|radian": "1"}, "charge": {"C|coulomb": "1"},
    "amount": {"mol|mole": "1"}, "bytes": {
        "bit": "1/8", "byte": "1", "KB|kB": "1000", "MB": "1000000", "GB": "1000000000",
        "TB": "1000000000000",
    },
    "clock": {"o'clock": "1"}, "am": {"a.m|am|a.m.": "1"}, "pm": {"p.m|pm|p.m.": "1"},
}  # fmt: skip
_ENERGY = {"mass": 1, "length": 2, "time": -2}
_COMPOUND = {
    "cc": ({"length": 3}, "1/1000000"), "l|L|liter|litre|升": ({"length": 3}, "1/1000"),
    "gallon|gal": ({"length": 3}, "473176473/125000000000"),
    "quart": ({"length": 3}, "473176473/500000000000"),
    "pint": ({"length": 3}, "473176473/1000000000000"),
    "cup": ({"length": 3}, "473176473/2000000000000"),
    "tablespoon|tbsp": ({"length": 3}, "473176473/32000000000000"),
    "teaspoon|tsp": ({"length": 3}, "473176473/96000000000000"),
    "mph": ({"length": 1, "time": -1}, "1397/3125"),
    "kmh|kph|kmph": ({"length": 1, "time": -1}, "5/18"),
    "hectare|ha": ({"length": 2}, "10000"), "acre": ({"length": 2}, "316160658/78125"),
    "N|newton": ({"mass": 1, "length": 1, "time": -2}, "1000"),
    "J|joule": (_ENERGY, "1000"), "erg": (_ENERGY, "1/10000"), "cal|calorie": (_ENERGY, "4184"),
    "eV|electronvolt": (_ENERGY, "1602176634/10000000000000000000000000"),
    "W|watt": ({"mass": 1, "length": 2, "time": -3}, "1000"),
    "V|volt": ({"mass": 1, "length": 2, "time": -3, "current": -1}, "1000"),
    "ohm": ({"mass": 1, "length": 2, "time": -3, "current": -2}, "1000"),
    "Pa|pascal": ({"mass": 1, "length": -1, "time": -2}, "1000"),
    "Hz|hertz": ({"time": -1}, "1"),
    "平方厘米": ({"length": 2}, "1/10000"), "平方米": ({"length": 2}, "1"),
    "立方厘米": ({"length": 3}, "1/1000000"), "立方米": ({"length": 3}, "1"),
}  # fmt: skip
_PREFIXES = {  # short, long, factor, the short units it is written before
    "n": ("nano", "1/1000000000", "m s g"), "µ": ("micro", "1/1000000", "m s g L A V"),
    "m": ("milli", "1/1000", "m s g L l A V W mol"), "c": ("centi", "1/100", "m L l"),
    "d": ("deci", "1/10", "m L l"), "k": ("kilo", "1000", "m g J W V N Pa Hz eV cal"),
    "M": ("mega", "1000000", "J W V N Pa Hz eV"), "G": ("giga", "1000000000", "J W Pa Hz eV"),
    "T": ("tera", "1000000000000", "Hz W"),
}  # fmt: skip
_LONG = "meter metre second gram liter litre joule watt volt newton pascal hertz byte".split()

_KNOWN: dict[str, Unit] = {}


def _fill() -> None:
    rows = [
        (names, {kind: 1}, factor) for kind, row in _TABLE.items() for names, factor in row.items()
    ]
    rows += [(names, powers, factor) for names, (powers, factor) in _COMPOUND.items()]
    for names, powers, factor in rows:
        for name in names.split("|"):
            _KNOWN[name] = Unit(tuple(sorted(powers.items())), Fraction(factor))
    for prefix, (long, factor, shorts) in _PREFIXES.items():
        for base in (*shorts.split(), *_LONG):
            unit = _KNOWN[base]
            scaled = Unit(unit.dimensions, unit.factor * Fraction(factor))
            for sign in {"µ": "µμu"}.get(prefix, prefix) if base in shorts.split() else (long,):
                _KNOWN[sign + base] = scaled


_fill()
DOLLAR, STERLING = _KNOWN["dollar"], Unit((("sterling", 1),), Fraction(1))
CURRENCIES = {
    "$": DOLLAR,
    "€": _KNOWN["euro"],
    "£": STERLING,
    "¥": _KNOWN["yuan"],
    "₹": _KNOWN["rupee"],
}
_POUND = _KNOWN["pound"]

_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_PIECE = re.compile(
    r"(?P<per>/|\bper\b)|(?P<word>o'clock|[^\W\d_]+(?:\.[^\W\d_])*\.?|¢)"
    r"(?:\s?\^\s?\{?\s?(?P<power>[-+]?[1-6])\s?\}?|(?P<digit>[23])(?!\w))?|[\s*·()~-]+|\\cdot"
)
MAX_UNIT = 80  # characters


_WORDS = re.compile(
    r"\s*(?:(?:/|·|\*|\\cdot|-)\s*|per\s+)?(o'clock|[^\W\d_]+\.?(?:[^\W\d_]\.)*)"
    r"(\s?\^\s?\{?\s?-?\d\s?\}?|[23](?!\w))?"
)
MAX_WORDS = 6


def unit_behind(text: str, at: int) -> tuple[Unit, int] | None:
    """The longest unit that begins at `at`, and where it ends."""
    best, end = None, at
    for _ in range(MAX_WORDS):
        found = _WORDS.match(text, end)
        if not found or found.end() - at > MAX_UNIT:
            break
        end = found.end()
        if unit := parse_unit(text[at:end]):
            best = (unit, end)
    return best


def _known(word: str) -> Unit | None:
    if word in _KNOWN:
        return _KNOWN[word]
    word = word.rstrip(".")
    if word in _KNOWN or len(word) == 1:
        return _KNOWN.get(word)
    word = word.casefold()
    may_be_plural = len(word) > 2 and word != "has"  # not of ms, nor of ha
    return _KNOWN.get(word) or (_KNOWN.get(word.removesuffix("s")) if may_be_plural else None)


@functools.lru_cache(maxsize=2048)
def parse_unit(text: str) -> Unit | None:
    """The unit a text is as a whole: `cm`, `m/s^2`, `square feet`, `miles per hour`; else None."""
    if len(text) > MAX_UNIT:
        return None
    powers: Counter[str] = Counter()
    factor, at, sign, ahead, last = Fraction(1), 0, 1, 1, None
    while at < len(text):
        found = _PIECE.match(text, at)
        if not found:
            return None
        at = found.end()
        if found["per"]:
            sign = -1
        if not (word := found["word"]):
            continue
        if (name := word.casefold().rstrip(".")) in _POWERS:
            if name.endswith("ed"):
                if last is None:
                    return None
                _add(powers, last, sign * (_POWERS[name] - 1))
                factor *= last.factor ** (sign * (_POWERS[name] - 1))
            else:
                ahead = _POWERS[name]
            continue
        last = _known(word)
        if last is None:
            return None
        power = sign * ahead * int(found["power"] or found["digit"] or 1)
        ahead = 1
        _add(powers, last, power)
        factor *= last.factor**power
    dimensions = tuple(sorted((kind, power) for kind, power in powers.items() if power))
    return Unit(dimensions, factor) if dimensions else None


def _add(powers: Counter[str], unit: Unit, times: int) -> None:
    for kind, power in unit.dimensions:
        powers[kind] += power * times


def conversion(unit: Unit | None, other: Unit | None) -> Fraction | None:
    """What a value in `unit` is multiplied by to be one in `other`; None if that cannot be.

    1 where either has no known unit.
    """
    if unit is None or other is None or {unit, other} == {_POUND, STERLING}:
        return Fraction(1)
    if unit.dimensions == other.dimensions:
        return unit.factor / other.factor
    per = {u for u in (unit, other) if u != DOLLAR and ("money", 1) in u.dimensions}
    if len(per) == 1 and DOLLAR in (unit, other):  # $5 for 5 dollars per hour
        return (
            Fraction(1)
            if all(power < 0 for kind, power in per.pop().dimensions if kind != "money")
            else None
        )
    return None
