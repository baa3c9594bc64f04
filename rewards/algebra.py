"""Whether two trees have the same value: exactly where both are rational, by sympy else.

sympy's work has no bound, so `equal_by_sympy` runs only in a worker process that is killed when
it takes too long; see checker.py.
"""

from fractions import Fraction

from rewards.latex import Tree

MAX_EXPONENT = 200
MAX_FACTORIAL = 60


def rational(tree: Tree) -> Fraction | None:
    """The exact value of a tree of numbers and + − × ÷ and small powers; None for any other."""
    kind = tree[0]
    if kind == "num":
        return tree[1]
    if kind not in ("neg", "+", "*", "/", "^"):
        return None
    values = [rational(part) for part in tree[1:]]
    if any(value is None for value in values):
        return None
    left, right = values[0] or Fraction(0), (values[1:] or [None])[0] or Fraction(0)
    if kind == "neg":
        return -left
    if kind == "+":
        return left + right
    if kind == "*":
        return left * right
    if kind == "/":
        return left / right if right else None
    if right.denominator != 1 or abs(right) > MAX_EXPONENT or (left == 0 and right < 0):
        return None
    return left ** int(right)


def same_structure(a: Tree, b: Tree) -> bool:
    """Whether both are tuples with as many items and the same brackets, or neither is one."""
    if (a[0] == "tuple") != (b[0] == "tuple"):
        return False
    return a[0] != "tuple" or (a[1] == b[1] and len(a) == len(b))


def equal_by_sympy(a: Tree, b: Tree) -> bool:
    """Whether sympy finds the difference to be zero; items of tuples are compared in order."""
    if a[0] == "tuple":
        return all(equal_by_sympy(x, y) for x, y in zip(a[2:], b[2:], strict=True))
    import sympy

    left, right = to_sympy(a), to_sympy(b)
    if left == right:
        return True
    difference = left - right
    symbols = sorted(difference.free_symbols, key=str)
    if left.free_symbols != right.free_symbols and not symbols:
        difference = sympy.expand(difference)
    for point in (sympy.Rational(7, 11), sympy.Rational(13, 5)):  # cheap: mostly they differ
        values = {s: point + sympy.Rational(i, 7) for i, s in enumerate(symbols)}
        number = difference.subs(values).evalf(30)
        if number.is_number and number.is_finite and abs(number) > sympy.Float("1e-15", 30):
            return False
    return bool(sympy.simplify(difference) == 0)


def to_sympy(tree: Tree):
    """The tree as a sympy expression; raises ValueError where it is too large to compute."""
    import sympy

    kind = tree[0]
    if kind == "num":
        return sympy.Rational(tree[1].numerator, tree[1].denominator)
    if kind == "name":
        known = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo}
        return known.get(tree[1], sympy.Symbol(tree[1]))
    if kind == "tuple":
        raise ValueError("a tuple inside an expression")
    parts = [to_sympy(part) for part in tree[1:]]
    if kind == "neg":
        return -parts[0]
    if kind == "+":
        return parts[0] + parts[1]
    if kind == "*":
        return parts[0] * parts[1]
    if kind == "/":
        return parts[0] / parts[1]
    if kind == "^":
        if parts[1].is_number and abs(parts[1].evalf(15)) > MAX_EXPONENT:
            raise ValueError("exponent too large")
        return parts[0] ** parts[1]
    if kind == "!":
        if not (parts[0].is_Integer and 0 <= parts[0] <= MAX_FACTORIAL):
            raise ValueError("factorial too large")
        return sympy.factorial(parts[0])
    named = {"ln": sympy.log, "log": lambda x: sympy.log(x, 10), "exp": sympy.exp}
    named |= {"arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan}
    return (named.get(kind) or getattr(sympy, kind))(parts[0])
