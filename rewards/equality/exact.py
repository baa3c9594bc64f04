"""Exact values of trees, as fractions, with every intermediate result bounded in size."""

import functools
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from rewards.parse import tree as t

MAX_BITS = 60_000  # of a numerator or denominator; 10^18,000
MAX_FACTORIAL = 4_000


class Inexact(ValueError):
    """The tree has no exact rational value that could be computed within bounds."""


def exact(tree: t.Tree, point: Mapping[str, Fraction] | None = None) -> Fraction:
    """The value of `tree` where its names have the values of `point`; raises Inexact."""
    if isinstance(tree, t.Number):
        return tree.value
    if isinstance(tree, t.Name):
        if point is None or tree.name not in point:
            raise Inexact(tree.name)
        return point[tree.name]
    rule = _CALLS.get(tree.name) if isinstance(tree, t.Call) else _RULES.get(type(tree))
    if rule is None:
        raise Inexact(type(tree).__name__)
    values = [exact(part, point) for part in t.parts_of(tree)]
    try:
        result = rule(*values)
    except TypeError:
        raise Inexact("not so many operands") from None
    if max(result.numerator.bit_length(), result.denominator.bit_length()) > MAX_BITS:
        raise Inexact("too large")
    return result


@functools.lru_cache(maxsize=4096)
def rational(tree: t.Tree) -> Fraction | None:
    """The exact value of a constant tree, or None."""
    try:
        return exact(tree)
    except (Inexact, ZeroDivisionError):
        return None


def _sum(*values: Fraction) -> Fraction:
    total = Fraction(0)
    for value in values:
        total += value
        _bounded(total)
    return total


def _product(*values: Fraction) -> Fraction:
    total = Fraction(1)
    for value in values:
        total *= value
        _bounded(total)
    return total


def _bounded(value: Fraction) -> None:
    if value.numerator.bit_length() + value.denominator.bit_length() > 2 * MAX_BITS:
        raise Inexact("too large")


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        return _root(_power(base, Fraction(exponent.numerator)), Fraction(exponent.denominator))
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * max(size - 1, 0) > MAX_BITS or abs(exponent) > 10**9:
        if base not in (0, 1, -1):
            raise Inexact("too large")
        exponent = exponent % 2 + 2 * (exponent > 0)  # 0, 1 and −1 to any power
    return base ** int(exponent)


def _root(value: Fraction, degree: Fraction) -> Fraction:
    """The root, where it is rational."""
    if degree.denominator != 1 or not 1 <= degree <= 64 or (value < 0 and degree % 2 == 0):
        raise Inexact("root")
    n = int(degree)
    sign = -1 if value < 0 else 1
    top, under = (_whole_root(abs(part), n) for part in (value.numerator, value.denominator))
    return Fraction(sign * top, under)


def _whole_root(value: int, n: int) -> int:
    if n == 1:
        return value
    if n == 2:
        root = math.isqrt(value)
    else:
        low, high = 0, 1 << (value.bit_length() // n + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**n <= value else (low, middle - 1)
        root = low
    if root**n != value:
        raise Inexact("irrational root")
    return root


def _whole(value: Fraction, limit: int) -> int:
    if value.denominator != 1 or not 0 <= value <= limit:
        raise Inexact("not a small whole number")
    return int(value)


def _factorial(value: Fraction) -> Fraction:
    return Fraction(math.factorial(_whole(value, MAX_FACTORIAL)))


def _double_factorial(value: Fraction) -> Fraction:
    return Fraction(math.prod(range(_whole(value, MAX_FACTORIAL), 0, -2)))


def _binomial(n: Fraction, k: Fraction) -> Fraction:
    return Fraction(math.comb(_whole(n, 20_000), _whole(k, 20_000)))


def _ratio(*values: Fraction) -> Fraction:
    if len(values) != 2:
        raise Inexact("a ratio of more than two")
    return values[0] / values[1]


def _whole_numbers(values: tuple[Fraction, ...]) -> list[int]:
    if any(value.denominator != 1 for value in values):
        raise Inexact("not whole numbers")
    return [int(value) for value in values]


def _modulo(value: Fraction, modulus: Fraction) -> Fraction:
    return value - modulus * math.floor(value / modulus)


_RULES: dict[type, Any] = {
    t.Sum: _sum,
    t.Product: _product,
    t.Negative: lambda x: -x,
    t.Quotient: lambda x, y: x / y,
    t.Power: _power,
    t.Ratio: _ratio,
}
_CALLS: dict[str, Any] = {
    "root": lambda x, n: _root(x, n) if n.denominator == 1 else _power(x, 1 / n),
    "percent": lambda x: x / 100,
    "degrees": lambda x: x,
    "abs": abs,
    "sgn": lambda x: Fraction((x > 0) - (x < 0)),
    "floor": lambda x: Fraction(math.floor(x)),
    "ceil": lambda x: Fraction(math.ceil(x)),
    "!": _factorial,
    "!!": _double_factorial,
    "binom": _binomial,
    "max": lambda *xs: max(xs),
    "min": lambda *xs: min(xs),
    "mod": _modulo,
    "gcd": lambda *xs: Fraction(math.gcd(*_whole_numbers(xs))),
    "lcm": lambda *xs: Fraction(math.lcm(*_whole_numbers(xs))),
}
