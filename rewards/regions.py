"""Subsets of the real line: intervals, unions, inequalities, in one canonical form.

A region is a sorted tuple of pieces that do not touch; its ends keep the trees they were read
from, so that they are compared as exactly as any other value.
"""

import dataclasses
import math
from fractions import Fraction

from rewards.exact import Inexact, exact
from rewards.judges import Quick
from rewards.latex import Tree
from rewards.numeric import names_in

MAX_PIECES = 100


class NoRegion(ValueError):
    """The tree is no set of real numbers that could be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """One end of a piece; `at` is infinite where there is none."""

    at: float
    closed: bool
    tree: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """The numbers between two ends."""

    low: End
    high: End


Region = tuple[Piece, ...]

LOWEST = End(-math.inf, False, ("neg", ("name", "infinity")))
HIGHEST = End(math.inf, False, ("name", "infinity"))
REALS: Region = (Piece(LOWEST, HIGHEST),)


def end(tree: Tree, closed: bool) -> End:
    """An end of an interval; raises NoRegion if it is no real constant."""
    if tree == HIGHEST.tree or tree == ("neg", HIGHEST.tree):
        return End(math.inf if tree == HIGHEST.tree else -math.inf, False, tree)
    try:
        return End(float(exact(tree)), closed, tree)
    except (Inexact, ArithmeticError):
        value = Quick().approximate(tree)
        if value is None:
            raise NoRegion("an end that is no number") from None
        return End(float(value), closed, tree)


def normal(pieces: list[Piece]) -> Region:
    """Sorted, with empty pieces left out and touching ones joined."""
    if len(pieces) > MAX_PIECES:
        raise NoRegion("too many pieces")
    kept: list[Piece] = []
    for piece in sorted(pieces, key=lambda p: (p.low.at, not p.low.closed)):
        low, high = piece.low, piece.high
        if low.at > high.at or (low.at == high.at and not (low.closed and high.closed)):
            continue
        last = kept[-1] if kept else None
        if last and (
            low.at < last.high.at or (low.at == last.high.at and (low.closed or last.high.closed))
        ):
            highest = max(last.high, high, key=lambda e: (e.at, e.closed))
            kept[-1] = Piece(last.low, highest)
        else:
            kept.append(piece)
    return tuple(kept)


def intersection(a: Region, b: Region) -> Region:
    """The numbers in both."""
    pieces = []
    for x in a:
        for y in b:
            low = max(x.low, y.low, key=lambda e: (e.at, not e.closed))
            high = min(x.high, y.high, key=lambda e: (e.at, e.closed))
            pieces.append(Piece(low, high))
    return normal(pieces)


def complement(region: Region) -> Region:
    """The real numbers outside."""
    pieces, low = [], LOWEST
    for piece in region:
        pieces.append(Piece(low, _other_side(piece.low)))
        low = _other_side(piece.high)
    return normal([*pieces, Piece(low, HIGHEST)])


def _other_side(e: End) -> End:
    return End(e.at, not e.closed and math.isfinite(e.at), e.tree)


def region(tree: Tree) -> tuple[str | None, Region]:
    """The set of reals a tree stands for, and the name of its variable; raises NoRegion."""
    kind = tree[0]
    if kind == "reals":
        return None, REALS
    if kind == "tuple" and len(tree) == 4:
        low, high = end(tree[2], tree[1][0] == "["), end(tree[3], tree[1][1] == "]")
        return None, normal([Piece(low, high)])
    if kind == "set":
        points = [end(item, True) for item in tree[1:]]
        return None, normal([Piece(point, point) for point in points])
    if kind == "assign":
        point = end(tree[2], True)
        return tree[1], (Piece(point, point),)
    if kind in ("union", "cap", "without"):
        (name, a), (other, b) = region(tree[1]), region(tree[2])
        joined = {"union": lambda: normal([*a, *b]), "cap": lambda: intersection(a, b)}
        joined["without"] = lambda: intersection(a, complement(b))
        return _one_name(name, other), joined[kind]()
    if kind == "in":
        return tree[1], region(tree[2])[1]
    if kind == "chain":
        return _chain(tree[1], tree[2])
    if kind == "list":
        return _list(tree[1], [region(item) for item in tree[2:]])
    raise NoRegion(kind)


def _one_name(a: str | None, b: str | None) -> str | None:
    if a and b and a != b:
        raise NoRegion("two variables")
    return a or b


def _list(separator: str, parts: list[tuple[str | None, Region]]) -> tuple[str | None, Region]:
    """ "or" joins, "and" intersects; a comma intersects where that leaves something."""
    name, whole = parts[0]
    for other, more in parts[1:]:
        name = _one_name(name, other)
        both = intersection(whole, more)
        either = normal([*whole, *more])
        whole = either if separator == "or" or (not both and separator == ",") else both
    if name is None:
        raise NoRegion("a list of intervals")
    return name, whole


def _chain(operands: tuple[Tree, ...], relations: tuple[str, ...]) -> tuple[str | None, Region]:
    whole, name = REALS, None
    for left, relation, right in zip(operands, relations, operands[1:], strict=False):
        other, part = _inequality(left, relation, right)
        name, whole = _one_name(name, other), intersection(whole, part)
    return name, whole


_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}


def _inequality(left: Tree, relation: str, right: Tree) -> tuple[str, Region]:
    names = names_in(left) | names_in(right)
    if len(names) != 1:
        raise NoRegion("one variable is wanted")
    (name,) = names
    if right == ("name", name):
        left, right, relation = right, left, _MIRROR[relation]
    if left == ("name", name) and not names_in(right):
        return name, _half_line(relation, right)
    difference = ("+", left, ("neg", right))
    try:
        slope, start = _line(difference, name)
    except (Inexact, ZeroDivisionError):
        raise NoRegion("not linear") from None
    root = ("num", -start / slope)
    return name, _half_line(relation if slope > 0 else _MIRROR[relation], root)


def _line(tree: Tree, name: str) -> tuple[Fraction, Fraction]:
    """Slope and intercept of a linear expression; raises Inexact for any other."""
    places = [Fraction(0), Fraction(1), Fraction(7, 3), Fraction(-5)]
    values = [exact(tree, {name: place}) for place in places]
    start, slope = values[0], values[1] - values[0]
    if not slope or any(v != start + slope * p for v, p in zip(values, places, strict=True)):
        raise Inexact("not linear")
    return slope, start


def _half_line(relation: str, tree: Tree) -> Region:
    border = end(tree, relation in ("<=", ">=", "="))
    if relation in ("<", "<="):
        return (Piece(LOWEST, border),)
    if relation in (">", ">="):
        return (Piece(border, HIGHEST),)
    if relation == "=":
        return (Piece(border, border),)
    return complement((Piece(End(border.at, True, tree), End(border.at, True, tree)),))
