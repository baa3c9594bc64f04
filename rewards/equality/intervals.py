"""Subsets of the real line: intervals, unions, inequalities, in one canonical form.

A region is a sorted tuple of pieces that do not touch; its ends keep the trees they were read
from, so that they are compared as exactly as any other value.
"""

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from rewards.equality.arithmetic import QuickArithmetic
from rewards.equality.exact import Inexact, exact
from rewards.parse import tree as t

MAX_PIECES = 100


class NoRegion(ValueError):
    """The tree is no set of real numbers that could be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """One end of a piece; `at` is infinite where there is none."""

    at: float
    closed: bool
    tree: t.Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """The numbers between two ends."""

    low: End
    high: End


Region = tuple[Piece, ...]

LOWEST = End(-math.inf, False, t.Negative(t.INFINITY))
HIGHEST = End(math.inf, False, t.INFINITY)
REALS: Region = (Piece(LOWEST, HIGHEST),)


def end(tree: t.Tree, closed: bool) -> End:
    """An end of an interval; raises NoRegion if it is no real constant."""
    if tree == HIGHEST.tree or tree == LOWEST.tree:
        return End(math.inf if tree == HIGHEST.tree else -math.inf, False, tree)
    try:
        return End(float(exact(tree)), closed, tree)
    except (Inexact, ArithmeticError):
        value = QuickArithmetic().approximate(tree)
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


def region(tree: t.Tree) -> tuple[str | None, Region]:
    """The set of reals a tree stands for, and the name of its variable; raises NoRegion."""
    if tree == t.REALS:
        return None, REALS
    if isinstance(tree, t.Tuple) and len(tree.items) == 2:
        low, high = tree.items
        pieces = [Piece(end(low, tree.brackets[0] == "["), end(high, tree.brackets[1] == "]"))]
        return None, normal(pieces)
    if isinstance(tree, t.Set):
        points = [end(item, True) for item in tree.items]
        return None, normal([Piece(point, point) for point in points])
    if isinstance(tree, t.Assignment) and tree.name:
        values = tree.value.items if isinstance(tree.value, t.List) else (tree.value,)
        points = [end(value, True) for value in values]
        return tree.name, normal([Piece(point, point) for point in points])
    if isinstance(tree, t.SetOperation):
        (name, a), (other, b) = region(tree.left), region(tree.right)
        if tree.kind == "union":
            return _one_name(name, other), normal([*a, *b])
        outside = complement(b) if tree.kind == "difference" else b
        return _one_name(name, other), intersection(a, outside)
    if isinstance(tree, t.Member):
        return tree.name, region(tree.of)[1]
    if isinstance(tree, t.Relation):
        return _chain(tree.operands, tree.signs)
    if isinstance(tree, t.List):
        if not any(map(_is_interval, tree.items)) and all(
            isinstance(i, t.Tuple) for i in tree.items
        ):
            raise NoRegion("points of a plane")
        return _list(tree.separator, [region(item) for item in tree.items])
    raise NoRegion(type(tree).__name__)


def _is_interval(tree: t.Tree) -> bool:
    """Whether a pair can only be an interval: half open, or without an end."""
    return isinstance(tree, t.Tuple) and (
        tree.brackets in ("[)", "(]") or any(x in (HIGHEST.tree, LOWEST.tree) for x in tree.items)
    )


def _one_name(a: str | None, b: str | None) -> str | None:
    if a and b and a != b:
        raise NoRegion("two variables")
    return a or b


def _list(separator: str, parts: list[tuple[str | None, Region]]) -> tuple[str | None, Region]:
    """ "or" joins, "and" intersects; a comma intersects where that leaves something."""
    name, whole = parts[0]
    if all(other is None for other, _ in parts):
        return None, normal([piece for _, pieces in parts for piece in pieces])
    for other, more in parts[1:]:
        name = _one_name(name, other)
        both = intersection(whole, more)
        either = normal([*whole, *more])
        whole = either if separator == "or" or (not both and separator == ",") else both
    return name, whole


def _chain(operands: tuple[t.Tree, ...], relations: tuple[str, ...]) -> tuple[str | None, Region]:
    whole, name = REALS, None
    for left, relation, right in zip(operands, relations, operands[1:], strict=False):
        other, part = _inequality(left, relation, right)
        name, whole = _one_name(name, other), intersection(whole, part)
    return name, whole


_MIRROR = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}


def _inequality(left: t.Tree, relation: str, right: t.Tree) -> tuple[str, Region]:
    names = t.names_in(left) | t.names_in(right)
    if len(names) != 1:
        raise NoRegion("one variable is wanted")
    (name,) = names
    if right == t.Name(name):
        left, right, relation = right, left, _MIRROR[relation]
    if left == t.Name(name) and not t.names_in(right):
        return name, _half_line(relation, right)
    try:
        slope, start = line(t.difference(left, right), name)
    except (Inexact, ZeroDivisionError):
        raise NoRegion("not linear") from None
    root = t.Number(-start / slope)
    return name, _half_line(relation if slope > 0 else _MIRROR[relation], root)


def line(
    tree: t.Tree, name: str, point: Mapping[str, Fraction] = MappingProxyType({})
) -> tuple[Fraction, Fraction]:
    """Slope and intercept of what is linear in a name; raises Inexact for any other."""
    places = [Fraction(0), Fraction(1), Fraction(7, 3), Fraction(-5)]
    values = [exact(tree, {**point, name: place}) for place in places]
    start, slope = values[0], values[1] - values[0]
    if not slope or any(v != start + slope * p for v, p in zip(values, places, strict=True)):
        raise Inexact("not linear")
    return slope, start


def _half_line(relation: str, tree: t.Tree) -> Region:
    border = end(tree, relation in ("<=", ">=", "="))
    if relation in ("<", "<="):
        return (Piece(LOWEST, border),)
    if relation in (">", ">="):
        return (Piece(border, HIGHEST),)
    if relation == "=":
        return (Piece(border, border),)
    return complement((Piece(End(border.at, True, tree), End(border.at, True, tree)),))
