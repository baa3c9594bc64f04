"""Equations and inequalities, compared up to a factor, or as the sets they describe."""

import math
from fractions import Fraction

from rewards.equality.arithmetic import Answer, PreciseArithmetic, QuickArithmetic, all_of, points
from rewards.equality.exact import Inexact, exact, rational
from rewards.equality.intervals import NoRegion, Piece, Region, line, region
from rewards.equality.values import same_value
from rewards.parse import tree as t


def is_equation(tree: t.Tree) -> bool:
    return isinstance(tree, t.Relation) and set(tree.signs) == {"="}


def is_region(tree: t.Tree) -> bool:
    """Whether a tree can only be a set of numbers or a condition on them."""
    if isinstance(tree, t.List):
        return any(is_region(item) for item in tree.items)
    return isinstance(tree, t.Relation | t.SetOperation | t.NumberSet | t.Member)


def _sides(tree: t.Tree) -> tuple[str, t.Tree] | None:
    """The relation and the difference of the sides of `left relation right`."""
    if isinstance(tree, t.Assignment) and tree.name:
        letters = tuple(t.Name(x) for x in (tree.name if tree.name.isupper() else (tree.name,)))
        return "=", t.difference(t.product_of(list(letters)), tree.value)
    if not isinstance(tree, t.Relation) or len(tree.signs) != 1:
        return None
    left, right = tree.operands
    return tree.signs[0], t.difference(left, right)


def same_equation(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """Equality up to a factor that is not zero, and for inequalities positive."""
    a, g = _sides(answer), _sides(gold)
    if a is None or g is None or a[0] != g[0]:
        return False
    names = t.names_in(a[1]) | t.names_in(g[1])
    factors = []
    for point in points(names):
        try:
            x, y = exact(a[1], point), exact(g[1], point)
        except ZeroDivisionError:
            continue
        except Inexact:
            return _proportional(a, g, names, arithmetic)
        if (x == 0) != (y == 0):
            return False
        if y:
            factors.append(x / y)
    if factors and len(set(factors)) > 1 and a[0] == "=":
        return any(_same_solution(a[1], g[1], name, names) for name in names)
    if not factors or len(set(factors)) > 1:
        return False
    return a[0] in ("=", "!=") or factors[0] > 0


def _same_solution(a: t.Tree, g: t.Tree, name: str, names: set[str]) -> bool:
    """Whether two equations that are linear in a name give it one value: y = k/x and xy = k.

    Where a letter is 0, neither may hold alone: x(y - 2) = 0 is more than y = 2.
    """
    found = 0
    for point in points(names - {name}):
        try:
            (slope, start), (other, begin) = line(a, name, point), line(g, name, point)
            if start / slope != begin / other:
                return False
            found += 1
        except (Inexact, ZeroDivisionError):
            continue
    for point in points(names):
        for zero in names:
            if _holds(a, {**point, zero: Fraction(0)}) != _holds(g, {**point, zero: Fraction(0)}):
                return False
    return found > 2


def _holds(tree: t.Tree, point: dict[str, Fraction]) -> bool:
    try:
        return exact(tree, point) == 0
    except (Inexact, ZeroDivisionError):
        return False


def _proportional(a, g, names: set[str], arithmetic: QuickArithmetic) -> Answer:
    """The same for expressions that have no exact values, at a point where neither is zero."""
    for here in points(names):
        values = {name: t.Number(value) for name, value in here.items()}
        at_a, at_g = t.substituted(a[1], values), t.substituted(g[1], values)
        left, right = arithmetic.approximate(at_a), arithmetic.approximate(at_g)
        if left and right:
            break
    else:
        return False
    if a[0] not in ("=", "!=") and left * right < 0:
        return False
    return arithmetic.equal(t.Product((a[1], at_g)), t.Product((g[1], at_a)))


def same_region(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """Whether two conditions or sets of numbers describe the same numbers."""
    if {type(answer), type(gold)} <= {t.NumberSet, t.Member}:
        sets = [tree.of if isinstance(tree, t.Member) else tree for tree in (answer, gold)]
        if all(isinstance(one, t.NumberSet) for one in sets):
            return sets[0] == sets[1]
    try:
        (name, a), (other, g) = region(answer), region(gold)
    except NoRegion:
        same = same_equation(answer, gold, arithmetic)
        return same or _solved(answer, gold, arithmetic)
    if name and other and name != other:
        return False
    if len(a) != len(g):
        return False
    return all_of([_same_ends(x, y, arithmetic) for x, y in zip(a, g, strict=True)])


def _same_ends(x: Piece, y: Piece, arithmetic: QuickArithmetic) -> Answer:
    found: list[Answer] = []
    for mine, theirs in ((x.low, y.low), (x.high, y.high)):
        if mine.closed != theirs.closed or math.isinf(mine.at) != math.isinf(theirs.at):
            return False
        finite = not math.isinf(mine.at)
        found.append(same_value(mine.tree, theirs.tree, arithmetic) if finite else True)
    return all_of(found)


def _solved(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """A condition that is not linear, solved by sympy, against a set of numbers."""
    for condition in (answer, gold):
        try:
            name, wanted = region(gold if condition is answer else answer)
            break
        except NoRegion:
            continue
    else:
        return False
    if not isinstance(condition, t.Relation) or len(condition.signs) != 1:
        return False
    names = t.names_in(condition)
    if len(names) != 1 or condition.signs == ("=",) or (name and {name} != names):
        return False
    if not isinstance(arithmetic, PreciseArithmetic):
        return None
    from rewards.equality.symbolic import solution

    (left, right), (sign,) = condition.operands, condition.signs
    try:
        return bool(solution(sign, left, right, names.pop()) == _as_sympy(wanted))
    except (ValueError, TypeError, NotImplementedError):
        return False  # nothing that sympy solves


def _as_sympy(wanted: Region):
    import sympy

    from rewards.equality.symbolic import to_sympy

    pieces = [
        sympy.Interval(
            to_sympy(p.low.tree), to_sympy(p.high.tree), not p.low.closed, not p.high.closed
        )
        for p in wanted
    ]
    return sympy.Union(*pieces)


def is_solved(tree: t.Tree) -> bool:
    """Whether an assignment gives a number, so that an equation is no answer in its place."""
    return (
        isinstance(tree, t.Assignment)
        and not t.names_in(tree.value)
        and (rational(tree.value) is not None or not isinstance(tree.value, t.Word))
    )
