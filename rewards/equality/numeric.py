"""Approximate values of trees in one of mpmath's contexts: floats here, many digits in a worker.

`mpmath.fp` computes with Python's floats in bounded time. `mpmath.mp` with a precision of
hundreds of digits may be slow, so it runs only in worker processes with a time limit.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rewards.equality.exact import rational
from rewards.parse import tree as t
from rewards.parse.expressions import TRIGONOMETRIC

MAX_EXPONENT = 1e6
MAX_ARGUMENT = 1e12  # of trigonometric functions
MAX_FACTORIAL = 1e5


class NoValue(ValueError):
    """The tree has no value here, or none within bounds."""


class Evaluation:
    """Values of trees at one point; `largest` and `smallest` are the magnitudes met on the way."""

    def __init__(self, ctx: Any, point: Mapping[str, Any]):
        self.ctx, self.point = ctx, point
        self.largest, self.smallest = ctx.mpf(0), ctx.inf
        self.complex_met = False

    def value(self, tree: t.Tree) -> Any:
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

    def _value(self, tree: t.Tree) -> Any:
        ctx = self.ctx
        if isinstance(tree, t.Number):
            return ctx.mpf(tree.value.numerator) / ctx.mpf(tree.value.denominator)
        if isinstance(tree, t.Name):
            return self._name(tree.name)
        if isinstance(tree, t.Product):
            return self._product(tree.factors)
        if isinstance(tree, t.Call):
            if tree.name == "!" and (whole := rational(tree)) is not None:
                return ctx.mpf(whole.numerator)
            if tree.name in TRIGONOMETRIC:
                return self._trigonometric(tree.name, tree.arguments[0])
            rule = _CALLS.get(tree.name)
        else:
            rule = _OPERATORS.get(type(tree))
        if rule is None:
            raise NoValue("no value")
        return rule(ctx, *(self.value(part) for part in t.parts_of(tree)))

    def _name(self, name: str) -> Any:
        if name in self.point:
            return self.ctx.mpf(self.point[name].numerator) / self.point[name].denominator
        if name in ("pi", "e"):
            return +getattr(self.ctx, name)
        if name == "i":
            return self.ctx.mpc(0, 1)
        raise NoValue(name)

    def _product(self, factors: tuple[t.Tree, ...]) -> Any:
        result = self.value(factors[0])
        for factor in factors[1:]:
            result = result * self.value(factor)
            self.largest = max(self.largest, abs(result))
        return result

    def _trigonometric(self, kind: str, argument: t.Tree) -> Any:
        value = self.value(argument)
        if t.calls(argument, "degrees"):
            value = value * self.ctx.pi / 180
        return getattr(self.ctx, kind)(_at_most(value, MAX_ARGUMENT))


def _at_most(value: Any, limit: float) -> Any:
    if abs(value) > limit:
        raise NoValue("too large")
    return value


def _power(ctx: Any, x: Any, y: Any) -> Any:
    _at_most(y, MAX_EXPONENT)
    if ctx.im(x) == 0 and ctx.im(y) == 0 and ctx.re(x) < 0:
        return _power_of_negative(ctx, ctx.re(x), ctx.re(y))
    return ctx.power(x, y)


def _power_of_negative(ctx: Any, x: Any, y: Any) -> Any:
    """(−8)^(1/3) is −2, as schools have it, for odd small roots."""
    if y == int(y):
        return x ** int(y)
    for degree in (3, 5, 7, 9):
        top = y * degree
        if abs(top - round(float(top))) < 1e-12:
            root = -ctx.power(-x, 1 / ctx.mpf(degree))
            return root ** round(float(top))
    return ctx.power(ctx.mpc(x, 0), y)


def _root(ctx: Any, x: Any, n: Any) -> Any:
    if ctx.im(x) == 0 and ctx.re(x) < 0 and n != 2:
        return _power_of_negative(ctx, ctx.re(x), 1 / n)
    return ctx.sqrt(x) if n == 2 else _power(ctx, x, 1 / n)


def _logarithm(ctx: Any, x: Any, base: Any = None) -> Any:
    """To a base, or the natural one."""
    if x == 0:
        raise NoValue("logarithm of zero")
    return ctx.log(x) if base is None else ctx.log(x) / ctx.log(base)


def _exp(ctx: Any, x: Any) -> Any:
    return ctx.exp(_at_most(x, MAX_EXPONENT))


_OPERATORS: dict[type, Callable[..., Any]] = {
    t.Sum: lambda ctx, x, *more: sum(more, x),
    t.Negative: lambda ctx, x: -x,
    t.Quotient: lambda ctx, x, y: x / y,
    t.Ratio: lambda ctx, x, y: x / y,
    t.Power: _power,
}
_CALLS: dict[str, Callable[..., Any]] = {
    "root": _root,
    "percent": lambda ctx, x: x / 100,
    "degrees": lambda ctx, x: x,
    "abs": lambda ctx, x: abs(x),
    "sgn": lambda ctx, x: ctx.sign(x),
    "floor": lambda ctx, x: ctx.floor(x),
    "ceil": lambda ctx, x: ctx.ceil(x),
    "!": lambda ctx, x: ctx.gamma(_at_most(x, MAX_FACTORIAL) + 1),
    "binom": lambda ctx, n, k: ctx.binomial(_at_most(n, MAX_FACTORIAL), _at_most(k, MAX_FACTORIAL)),
    "log": lambda ctx, x, base=10: _logarithm(ctx, x, base),
    "ln": _logarithm,
    "exp": _exp,
    "max": lambda ctx, *xs: max(xs),
    "min": lambda ctx, *xs: min(xs),
    "mod": lambda ctx, x, y: x - y * ctx.floor(x / y),
    "arcsin": lambda ctx, x: ctx.asin(x),
    "arccos": lambda ctx, x: ctx.acos(x),
    "arctan": lambda ctx, x: ctx.atan(x),
    "arccot": lambda ctx, x: ctx.pi / 2 - ctx.atan(x),
    "arcsec": lambda ctx, x: ctx.acos(1 / x),
    "arccsc": lambda ctx, x: ctx.asin(1 / x),
    "arcsinh": lambda ctx, x: ctx.log(x + ctx.sqrt(x * x + 1)),
    "arccosh": lambda ctx, x: ctx.log(x + ctx.sqrt(x - 1) * ctx.sqrt(x + 1)),
    "arctanh": lambda ctx, x: ctx.log((1 + x) / (1 - x)) / 2,
    "sinh": lambda ctx, x: (_exp(ctx, x) - _exp(ctx, -x)) / 2,
    "cosh": lambda ctx, x: (_exp(ctx, x) + _exp(ctx, -x)) / 2,
    "tanh": lambda ctx, x: (_exp(ctx, x) - _exp(ctx, -x)) / (_exp(ctx, x) + _exp(ctx, -x)),
}
