"""Equations and inequalities, compared up to a factor, or as the sets they describe."""

import math

from rewards.exact import Inexact, exact
from rewards.judges import Answer, Precise, Quick, all_of, points
from rewards.latex import Tree
from rewards.numeric import names_in
from rewards.regions import NoRegion, Region, region
from rewards.values import values

_ONLY_REGIONS = ("union", "cap", "without", "reals", "in")


def is_equation(tree: Tree) -> bool:
    return tree[0] == "chain" and set(tree[2]) == {"="}


def is_region(tree: Tree) -> bool:
    if tree[0] == "list":
        return any(is_region(item) for item in tree[2:])
    return tree[0] in _ONLY_REGIONS or tree[0] == "chain"


def _sides(tree: Tree) -> tuple[str, Tree] | None:
    """The relation and the difference of the sides of `left relation right`."""
    if tree[0] == "assign":
        return "=", ("+", ("name", tree[1]), ("neg", tree[2]))
    if tree[0] != "chain" or len(tree[2]) != 1:
        return None
    left, right = tree[1]
    if tree[2][0] in (">", ">="):
        return tree[2][0].replace(">", "<"), ("+", right, ("neg", left))
    return tree[2][0], ("+", left, ("neg", right))


def same_equation(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    """Equality up to a factor that is not zero, and for inequalities positive."""
    a, g = _sides(answer), _sides(gold)
    if a is None or g is None or a[0] != g[0]:
        return False
    names = names_in(a[1]) | names_in(g[1])
    factors = []
    for point in points(names, f"{a}{g}"):
        try:
            x, y = exact(a[1], point), exact(g[1], point)
        except ZeroDivisionError:
            continue
        except Inexact:
            return _proportional(a, g, names, judge)
        if (x == 0) != (y == 0):
            return False
        if y:
            factors.append(x / y)
    if not factors or len(set(factors)) > 1:
        return False
    return a[0] in ("=", "!=") or factors[0] > 0


def _proportional(a, g, names: set[str], judge: Quick) -> Answer:
    """The same for expressions that have no exact values."""
    here = next(points(names, "factor"))
    swap = {name: ("num", value) for name, value in here.items()}
    at_a, at_g = _substitute(a[1], swap), _substitute(g[1], swap)
    left, right = judge.approximate(at_a), judge.approximate(at_g)
    if a[0] not in ("=", "!=") and left and right and left * right < 0:
        return False
    return judge.equal(("*", a[1], at_g), ("*", g[1], at_a))


def _substitute(tree: Tree, swap: dict[str, Tree]) -> Tree:
    if tree[0] == "name":
        return swap.get(tree[1], tree)
    return (tree[0], *(_substitute(p, swap) if isinstance(p, tuple) else p for p in tree[1:]))


def same_region(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    try:
        (name, a), (other, g) = region(answer), region(gold)
    except NoRegion:
        same = same_equation(answer, gold, judge)
        return same or _solved(answer, gold, judge)
    if name and other and name != other:
        return False
    if len(a) != len(g):
        return False
    return all_of([_ends(x, y, judge) for x, y in zip(a, g, strict=True)])


def _ends(x, y, judge: Quick) -> Answer:
    found: list[Answer] = []
    for mine, theirs in ((x.low, y.low), (x.high, y.high)):
        if mine.closed != theirs.closed or math.isinf(mine.at) != math.isinf(theirs.at):
            return False
        found.append(True if math.isinf(mine.at) else values(mine.tree, theirs.tree, judge))
    return all_of(found)


def _solved(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    """An inequality that is not linear, solved by sympy, against a region."""
    relations = [tree for tree in (answer, gold) if tree[0] == "chain"]
    others = [tree for tree in (answer, gold) if tree[0] != "chain"]
    if len(relations) != 1 or len(others) != 1 or len(relations[0][2]) != 1:
        return False
    names = names_in(relations[0][1])
    if len(names) != 1 or relations[0][2][0] == "=":
        return False
    try:
        name, wanted = region(others[0])
    except NoRegion:
        return False
    if name and {name} != names:
        return False
    if not isinstance(judge, Precise):
        return None
    from rewards.symbolic import solution

    (left, right), (relation,) = relations[0][1], relations[0][2]
    try:
        return bool(solution(relation, left, right, names.pop()) == _as_sympy(wanted))
    except (ValueError, TypeError, NotImplementedError):
        return False  # nothing that sympy solves


def _as_sympy(wanted: Region):
    import sympy

    from rewards.symbolic import to_sympy

    pieces = [
        sympy.Interval(
            to_sympy(p.low.tree), to_sympy(p.high.tree), not p.low.closed, not p.high.closed
        )
        for p in wanted
    ]
    return sympy.Union(*pieces)
