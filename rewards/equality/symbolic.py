"""Inequalities solved by sympy: unbounded work, for worker processes only."""

import sys
from collections.abc import Callable

from rewards.equality.exact import rational
from rewards.parse import tree as t

MAX_PARTS = 200
MAX_EXPONENT = 60
MAX_FACTORIAL = 300

LOADING, LOADED = "loading sympy", "sympy loaded"
announce: Callable[[str], object] = str  # set by workers: no limit pays for loading

_NAMES = {
    name: name for name in "sin cos tan cot sec csc exp sinh cosh tanh root gcd lcm floor".split()
}
_NAMES |= {
    "ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "abs": "Abs",
    "ceil": "ceiling", "!": "factorial", "!!": "factorial2", "max": "Max", "min": "Min",
    "binom": "binomial", "mod": "Mod",
}  # fmt: skip


def load():
    """sympy itself, imported when it is first needed."""
    first = "sympy" not in sys.modules
    if first:
        announce(LOADING)
    import sympy

    if first:
        announce(LOADED)
    return sympy


def guard(tree: t.Tree) -> int:
    """The number of parts of a tree; raises ValueError if sympy would choke on it."""
    last = t.parts_of(tree)[-1:]
    limit = MAX_EXPONENT if isinstance(tree, t.Power) else None
    if isinstance(tree, t.Call) and tree.name in ("!", "!!", "binom"):
        limit = MAX_FACTORIAL
    if limit and last:
        value = rational(last[0])
        opaque = isinstance(last[0], t.Power | t.Call)
        if (value is not None and abs(value) > limit) or (value is None and opaque):
            raise ValueError("too large")
    parts = 1 + sum(guard(part) for part in t.parts_of(tree))
    if parts > MAX_PARTS:
        raise ValueError("too large")
    return parts


def solution(relation: str, left: t.Tree, right: t.Tree, name: str):
    """The real numbers `name` for which `left relation right` holds, as a sympy set."""
    guard(left)
    guard(right)
    sympy = load()
    x = sympy.Symbol(name, real=True)
    kinds = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge, "!=": sympy.Ne}
    condition = kinds[relation](to_sympy(left, real=True), to_sympy(right, real=True))
    return sympy.solve_univariate_inequality(condition, x, relational=False)


def to_sympy(tree: t.Tree, *, real: bool = False):
    """The tree as a sympy expression; raises ValueError for what is no expression."""
    import sympy

    if isinstance(tree, t.Number):
        return sympy.Rational(tree.value.numerator, tree.value.denominator)
    if isinstance(tree, t.Name):
        known = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo}
        return known.get(tree.name, sympy.Symbol(tree.name, real=real or None))
    parts = [to_sympy(part, real=real) for part in t.parts_of(tree)]
    if isinstance(tree, t.Sum):
        return sympy.Add(*parts)
    if isinstance(tree, t.Product):
        return sympy.Mul(*parts)
    if isinstance(tree, t.Negative):
        return -parts[0]
    if isinstance(tree, t.Quotient):
        return parts[0] / parts[1]
    if isinstance(tree, t.Power):
        return parts[0] ** parts[1]
    if not isinstance(tree, t.Call):
        raise ValueError(f"{type(tree).__name__} is no expression")
    if tree.name == "percent":
        return parts[0] / 100
    if tree.name == "degrees":
        return parts[0] * sympy.pi / 180
    if tree.name == "log":
        return sympy.log(parts[0], parts[1] if len(parts) == 2 else 10)
    if tree.name not in _NAMES:
        raise ValueError(f"{tree.name} is no function")
    return getattr(sympy, _NAMES[tree.name])(*parts)
