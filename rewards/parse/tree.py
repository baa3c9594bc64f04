"""The typed tree that a text is parsed into: values, and the structures that hold them.

Nodes are frozen, hashable and compare by content. Nothing is evaluated here.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from rewards.parse.units import Unit


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """Any node."""


@dataclasses.dataclass(frozen=True, slots=True)
class Number(Tree):
    """A literal: `decimal` if it has digits behind a point, `base` if one was written."""

    value: Fraction
    decimal: bool = False
    base: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Name(Tree):
    """A variable or a constant: x, x_1, pi, e, i, infinity."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Word(Tree):
    """Words that are no formula."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Sum(Tree):
    terms: tuple[Tree, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Product(Tree):
    factors: tuple[Tree, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Negative(Tree):
    of: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Quotient(Tree):
    over: Tree
    under: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Power(Tree):
    base: Tree
    exponent: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class PlusMinus(Tree):
    """±x, or ∓x if `minus_first`."""

    of: Tree
    minus_first: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Call(Tree):
    """A function of its arguments: sin, log, root, "!", binom, percent, degrees, abs, mod, …"""

    name: str
    arguments: tuple[Tree, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity(Tree):
    """A value with a unit that is known; `larger` is the first of 3 hours and 20 minutes."""

    value: Tree
    unit: Unit
    larger: Unit | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Ratio(Tree):
    """a : b : …; `clock` is the minutes after midnight if it is written like a time of day."""

    parts: tuple[Tree, ...]
    clock: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Approximation(Tree):
    """exact ≈ rounded."""

    exact: Tree
    rounded: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class List(Tree):
    """Several answers side by side; `separator` is ",", ";", "and" or "or"."""

    items: tuple[Tree, ...]
    separator: str = ","


@dataclasses.dataclass(frozen=True, slots=True)
class Tuple(Tree):
    """Items in order; `brackets` are two characters, such as "[)"."""

    items: tuple[Tree, ...]
    brackets: str = "()"


@dataclasses.dataclass(frozen=True, slots=True)
class Set(Tree):
    items: tuple[Tree, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Matrix(Tree):
    rows: tuple[tuple[Tree, ...], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment(Tree):
    """name = value; the name is empty where the left side is a quantity that was asked for."""

    name: str
    value: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Relation(Tree):
    """A chain such as 1 < x ≤ 5; `signs` are "=", "<", "<=", ">", ">=" or "!="."""

    operands: tuple[Tree, ...]
    signs: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Member(Tree):
    """name ∈ of."""

    name: str
    of: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class SetOperation(Tree):
    """`kind` is "union", "intersection" or "difference"."""

    kind: str
    left: Tree
    right: Tree


@dataclasses.dataclass(frozen=True, slots=True)
class NumberSet(Tree):
    """ℝ, ℤ, ℕ or ℚ."""

    letter: str


CONSTANTS = ("e", "pi", "i", "infinity")
INFINITY = Name("infinity")
REALS = NumberSet("R")
ONE, TWO, TEN = Number(Fraction(1)), Number(Fraction(2)), Number(Fraction(10))

_MANY = {
    Sum: "terms", Product: "factors", Call: "arguments", Ratio: "parts", List: "items",
    Tuple: "items", Set: "items", Relation: "operands",
}  # fmt: skip
_FIXED = {
    Negative: ("of",), Quotient: ("over", "under"), Power: ("base", "exponent"),
    PlusMinus: ("of",), Quantity: ("value",), Approximation: ("exact", "rounded"),
    Assignment: ("value",), Member: ("of",), SetOperation: ("left", "right"),
}  # fmt: skip


def parts_of(tree: Tree) -> tuple[Tree, ...]:
    """The subtrees directly below a node."""
    kind = type(tree)
    if field := _MANY.get(kind):
        return getattr(tree, field)
    if fields := _FIXED.get(kind):
        return tuple(getattr(tree, field) for field in fields)
    if isinstance(tree, Matrix):
        return tuple(entry for row in tree.rows for entry in row)
    return ()


def with_parts(tree: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """The node with each subtree directly below it changed."""
    kind = type(tree)
    if field := _MANY.get(kind):
        return dataclasses.replace(
            tree, **{field: tuple(change(part) for part in getattr(tree, field))}
        )
    if fields := _FIXED.get(kind):
        return dataclasses.replace(tree, **{f: change(getattr(tree, f)) for f in fields})
    if isinstance(tree, Matrix):
        return Matrix(tuple(tuple(change(entry) for entry in row) for row in tree.rows))
    return tree


def nodes(tree: Tree) -> Iterator[Tree]:
    """The node and all below it."""
    yield tree
    for part in parts_of(tree):
        yield from nodes(part)


def names_in(tree: Tree) -> set[str]:
    """The variables of a tree."""
    return {n.name for n in nodes(tree) if isinstance(n, Name) and n.name not in CONSTANTS}


def mentions(tree: Tree, *names: str) -> bool:
    """Whether one of the names stands in a tree."""
    return any(isinstance(node, Name) and node.name in names for node in nodes(tree))


def calls(tree: Tree, *names: str) -> bool:
    """Whether one of the functions stands in a tree."""
    return any(isinstance(node, Call) and node.name in names for node in nodes(tree))


def substituted(tree: Tree, values: Mapping[str, Tree]) -> Tree:
    """The tree with trees in the place of names."""
    if isinstance(tree, Name):
        return values.get(tree.name, tree)
    return with_parts(tree, lambda part: substituted(part, values))


def product_of(factors: list[Tree]) -> Tree:
    """The product of one or more factors."""
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def difference(left: Tree, right: Tree) -> Tree:
    return Sum((left, Negative(right)))
