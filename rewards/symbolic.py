"""What only computer algebra can decide, by sympy; unbounded work, for worker processes only."""

import sys
from collections.abc import Callable

from rewards.exact import rational
from rewards.latex import Tree

MAX_PARTS = 200
MAX_EXPONENT = 60
MAX_FACTORIAL = 300

LOADING, LOADED = "loading sympy", "sympy loaded"
announce: Callable[[str], object] = str  # set by workers: no limit pays for loading

_NAMES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "abs": "Abs"}
_NAMES |= {"floor": "floor", "ceil": "ceiling", "!": "factorial", "!!": "factorial2"}
_NAMES |= {"max": "Max", "min": "Min", "gcd": "gcd", "lcm": "lcm"}
_NAMES |= {name: name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "exp", "binomial")}
_NAMES |= {"sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "binom": "binomial"}
_OPERATORS = ("+", "*", "neg", "/", "^", "root", "percent", "deg", "log")


def load():
    """sympy itself, imported when it is first needed."""
    first = "sympy" not in sys.modules
    if first:
        announce(LOADING)
    import sympy

    if first:
        announce(LOADED)
    return sympy


def equal_by_sympy(a: Tree, b: Tree) -> bool:
    """Whether sympy reduces the difference of two expressions to zero; ValueError if too large."""
    guard(a)
    guard(b)
    sympy = load()
    return bool(sympy.simplify(to_sympy(a) - to_sympy(b)) == 0)


def guard(tree: Tree) -> int:
    """The number of parts of a tree; raises ValueError if sympy would choke on it."""
    limit = {"^": MAX_EXPONENT, "!": MAX_FACTORIAL, "!!": MAX_FACTORIAL, "binom": MAX_FACTORIAL}
    if tree[0] in limit:
        value = rational(tree[-1])
        constant = tree[-1][0] not in ("name", "num", "dec", "+", "*", "neg", "/")
        if (value is not None and abs(value) > limit[tree[0]]) or (value is None and constant):
            raise ValueError("too large")
    parts = 1 + sum(guard(part) for part in tree[1:] if isinstance(part, tuple) and part)
    if parts > MAX_PARTS:
        raise ValueError("too large")
    return parts


def solution(relation: str, left: Tree, right: Tree, name: str):
    """The real numbers `name` for which `left relation right` holds, as a sympy set."""
    guard(left)
    guard(right)
    sympy = load()
    x = sympy.Symbol(name, real=True)
    kinds = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge, "!=": sympy.Ne}
    condition = kinds[relation](to_sympy(left, real=True), to_sympy(right, real=True))
    return sympy.solve_univariate_inequality(condition, x, relational=False)


def to_sympy(tree: Tree, *, real: bool = False):
    """The tree as a sympy expression; raises ValueError for what is no expression."""
    import sympy

    kind = tree[0]
    if kind in ("num", "dec"):
        return sympy.Rational(tree[1].numerator, tree[1].denominator)
    if kind == "name":
        known = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo}
        return known.get(tree[1], sympy.Symbol(tree[1], real=real or None))
    if kind not in _OPERATORS and kind not in _NAMES:
        raise ValueError(f"{kind} is no expression")
    parts = [to_sympy(part, real=real) for part in tree[1:]]
    if kind == "+":
        return sympy.Add(*parts)
    if kind == "*":
        return sympy.Mul(*parts)
    if kind == "neg":
        return -parts[0]
    if kind == "/":
        return parts[0] / parts[1]
    if kind == "^":
        return parts[0] ** parts[1]
    if kind == "root":
        return sympy.root(parts[0], parts[1])
    if kind == "percent":
        return parts[0] / 100
    if kind == "deg":
        return parts[0] * sympy.pi / 180
    if kind == "log":
        return sympy.log(parts[0], parts[1] if len(parts) == 2 else 10)
    return getattr(sympy, _NAMES[kind])(*parts)
