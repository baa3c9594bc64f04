"""Approximate values of trees in one of mpmath's contexts: floats here, many digits in a worker.

`mpmath.fp` computes with Python's floats in bounded time. `mpmath.mp` with a precision of
hundreds of digits may be slow, so it runs only in worker processes with a time limit.
"""

from collections.abc import Mapping
from typing import Any

from rewards.exact import rational
from rewards.latex import TRIGONOMETRIC, Tree

MAX_EXPONENT = 1e6
MAX_ARGUMENT = 1e12  # of trigonometric functions
MAX_FACTORIAL = 1e5


class NoValue(ValueError):
    """The tree has no value here, or none within bounds."""


def names_in(tree: Any) -> set[str]:
    """The variables of a tree."""
    if not isinstance(tree, tuple) or not tree:
        return set()
    if tree[0] == "name":
        return set() if tree[1] in ("e", "pi", "i", "infinity") else {tree[1]}
    return set().union(*(names_in(part) for part in tree))


class Evaluation:
    """Values of trees at one point; `largest` and `smallest` are the magnitudes met on the way."""

    def __init__(self, ctx: Any, point: Mapping[str, Any]):
        self.ctx, self.point = ctx, point
        self.largest, self.smallest = ctx.mpf(0), ctx.inf
        self.complex_met = False

    def value(self, tree: Tree) -> Any:
        """The value; raises NoValue, or whatever the context raises at poles and overflows."""
        result = self._value(tree)
        size = abs(result)
        if not size < self.ctx.inf:  # infinite, or not a number
            raise NoValue("infinite")
        self.largest = max(self.largest, size)
        if size:
            self.smallest = min(self.smallest, size)
        if self.ctx.im(result) != 0:
            self.complex_met = True
        return result

    def _value(self, tree: Tree) -> Any:
        ctx, kind = self.ctx, tree[0]
        if kind in ("num", "dec"):
            return ctx.mpf(tree[1].numerator) / ctx.mpf(tree[1].denominator)
        if kind == "name":
            return self._name(tree[1])
        if kind == "!" and (whole := rational(tree)) is not None:
            return ctx.mpf(whole.numerator)
        if kind in TRIGONOMETRIC:
            return self._trigonometric(kind, tree[1])
        if kind not in _METHODS:
            raise NoValue("no value")
        return getattr(self, "_" + _METHODS[kind])(*(self.value(part) for part in tree[1:]))

    def _name(self, name: str) -> Any:
        if name in self.point:
            return self.ctx.mpf(self.point[name].numerator) / self.point[name].denominator
        if name in ("pi", "e"):
            return +getattr(self.ctx, name)
        if name == "i":
            return self.ctx.mpc(0, 1)
        raise NoValue(name)

    def _trigonometric(self, kind: str, argument: Tree) -> Any:
        value = self.value(argument)
        if _in_degrees(argument):
            value = value * self.ctx.pi / 180
        if abs(value) > MAX_ARGUMENT:
            raise NoValue("argument too large")
        return getattr(self.ctx, kind)(value)

    def _sum(self, *values: Any) -> Any:
        return sum(values[1:], values[0])

    def _product(self, *values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = result * value
            self.largest = max(self.largest, abs(result))
        return result

    def _negative(self, x: Any) -> Any:
        return -x

    def _quotient(self, x: Any, y: Any, *more: Any) -> Any:
        if more:
            raise NoValue("a ratio of more than two")
        return x / y

    def _power(self, x: Any, y: Any) -> Any:
        if abs(y) > MAX_EXPONENT:
            raise NoValue("exponent too large")
        if self.ctx.im(x) == 0 and self.ctx.im(y) == 0 and self.ctx.re(x) < 0:
            return self._power_of_negative(self.ctx.re(x), self.ctx.re(y))
        return self.ctx.power(x, y)

    def _power_of_negative(self, x: Any, y: Any) -> Any:
        """(−8)^(1/3) is −2, as schools have it, for odd small roots."""
        if y == int(y):
            return x ** int(y)
        for degree in (3, 5, 7, 9):
            top = y * degree
            if abs(top - round(float(top))) < 1e-12:
                root = -self.ctx.power(-x, 1 / self.ctx.mpf(degree))
                return root ** round(float(top))
        return self.ctx.power(self.ctx.mpc(x, 0), y)

    def _root(self, x: Any, n: Any) -> Any:
        if self.ctx.im(x) == 0 and self.ctx.re(x) < 0 and n != 2:
            return self._power_of_negative(self.ctx.re(x), 1 / n)
        return self.ctx.sqrt(x) if n == 2 else self._power(x, 1 / n)

    def _percent(self, x: Any) -> Any:
        return x / 100

    def _degrees(self, x: Any) -> Any:
        return x

    def _absolute(self, x: Any) -> Any:
        return abs(x)

    def _floor(self, x: Any) -> Any:
        return self.ctx.floor(x)

    def _ceil(self, x: Any) -> Any:
        return self.ctx.ceil(x)

    def _factorial(self, x: Any) -> Any:
        if abs(x) > MAX_FACTORIAL:
            raise NoValue("factorial too large")
        return self.ctx.gamma(x + 1)

    def _binomial(self, n: Any, k: Any) -> Any:
        if abs(n) > MAX_FACTORIAL or abs(k) > MAX_FACTORIAL:
            raise NoValue("binomial too large")
        return self.ctx.binomial(n, k)

    def _logarithm(self, x: Any, base: Any = 10) -> Any:
        if x == 0:
            raise NoValue("logarithm of zero")
        return self.ctx.log(x) / self.ctx.log(base)

    def _natural(self, x: Any) -> Any:
        if x == 0:
            raise NoValue("logarithm of zero")
        return self.ctx.log(x)

    def _exp(self, x: Any) -> Any:
        if abs(x) > MAX_EXPONENT:
            raise NoValue("exponent too large")
        return self.ctx.exp(x)

    def _arcsin(self, x: Any) -> Any:
        return self.ctx.asin(x)

    def _arccos(self, x: Any) -> Any:
        return self.ctx.acos(x)

    def _arctan(self, x: Any) -> Any:
        return self.ctx.atan(x)

    def _sinh(self, x: Any) -> Any:
        return (self._exp(x) - self._exp(-x)) / 2

    def _cosh(self, x: Any) -> Any:
        return (self._exp(x) + self._exp(-x)) / 2

    def _tanh(self, x: Any) -> Any:
        return self._sinh(x) / self._cosh(x)

    def _largest_of(self, *values: Any) -> Any:
        return max(values)

    def _smallest_of(self, *values: Any) -> Any:
        return min(values)


_METHODS = {
    "+": "sum", "*": "product", "neg": "negative", "/": "quotient", "ratio": "quotient",
    "^": "power", "root": "root", "percent": "percent", "deg": "degrees", "abs": "absolute",
    "floor": "floor", "ceil": "ceil", "!": "factorial", "binom": "binomial", "log": "logarithm",
    "ln": "natural", "exp": "exp", "arcsin": "arcsin", "arccos": "arccos", "arctan": "arctan",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "max": "largest_of", "min": "smallest_of",
}  # fmt: skip


def _in_degrees(tree: Tree) -> bool:
    parts = (part for part in tree[1:] if isinstance(part, tuple) and part)
    return tree[0] == "deg" or any(map(_in_degrees, parts))
