"""Sums, products and determinants that are written out and small enough to be computed."""

import functools

from rewards.equality.exact import rational
from rewards.equality.matrices import determinant
from rewards.parse import tree as t

SERIES = ("sum", "prod")
MAX_NODES = 4_000  # of all terms of a tree, written out


@functools.lru_cache(maxsize=4096)
def computed(tree: t.Tree) -> t.Tree:
    """The tree with its finite sums, products and determinants carried out.

    An equation of one that keeps its letters says what it is: its last side.
    """
    if not any(isinstance(node, t.Call) and _is_computed(node) for node in t.nodes(tree)):
        return tree
    if isinstance(tree, t.Relation) and set(tree.signs) == {"="}:
        operands = tuple(_written_out(side, [MAX_NODES]) for side in tree.operands)
        if any(t.names_in(side) for side in operands):
            return t.Assignment("", operands[-1])
        values = {rational(side) for side in operands}
        return (
            operands[-1]
            if len(values) == 1 and None not in values
            else t.Relation(operands, tree.signs)
        )
    if not isinstance(tree, t.Call):
        return t.with_parts(tree, computed)
    return _written_out(tree, [MAX_NODES])


def _is_computed(call: t.Call) -> bool:
    of_matrix = call.name in ("det", "abs") and isinstance(call.arguments[0], t.Matrix)
    return of_matrix or call.name in SERIES


def _written_out(tree: t.Tree, nodes_left: list[int]) -> t.Tree:
    if isinstance(tree, t.Call) and tree.name in SERIES:
        return _series(tree, nodes_left)
    tree = t.with_parts(tree, lambda part: _written_out(part, nodes_left))
    if isinstance(tree, t.Call) and _is_computed(tree):
        assert isinstance(tree.arguments[0], t.Matrix)
        return determinant(tree.arguments[0].rows) or tree
    return tree


def _series(tree: t.Call, nodes_left: list[int]) -> t.Tree:
    body, index, *bounds = tree.arguments
    if not isinstance(index, t.Name):
        return tree  # of a sum inside, over the same letter
    low, high = (rational(_written_out(bound, nodes_left)) for bound in bounds)
    size = sum(1 for _ in t.nodes(body))
    if low is None or high is None or low.denominator * high.denominator != 1:
        name = t.Name(f"index {size}")  # whatever letter it had
        return t.Call(tree.name, (t.substituted(body, {index.name: name}), name, *bounds))
    nodes_left[0] -= size * max(0, int(high - low) + 1)
    if nodes_left[0] < 0:
        return tree
    places = [t.Number(low + step) for step in range(int(high - low) + 1)]
    terms = [_written_out(t.substituted(body, {index.name: place}), nodes_left) for place in places]
    if not terms:
        return t.Number(t.ONE.value * (tree.name == "prod"))
    whole = t.Sum(tuple(terms)) if tree.name == "sum" else t.Product(tuple(terms))
    value = rational(whole)
    return whole if value is None else t.Number(value)
