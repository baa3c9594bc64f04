"""Trees in the form in which they are compared: signs ± written out, assignments joined."""

from collections.abc import Callable, Sequence

from rewards.exact import rational
from rewards.judges import Quick
from rewards.latex import Tree
from rewards.numeric import names_in

MAX_SIGNS = 4  # plus-minus signs in one value


def settle(tree: Tree) -> Tree:
    """The tree in the form in which it is compared: signs ± written out, assignments joined."""
    kind = tree[0]
    if kind == "list":
        items = [settle(item) for item in tree[2:]]
        if all(item[0] == "assign" for item in items):
            names = {item[1] for item in items}
            if len(names) == 1:
                return settle(("list", tree[1], *(item[2] for item in items)))
            if len(names) == len(items):
                return ("tuple", "()", *(i[2] for i in sorted(items, key=lambda i: i[1])))
        flat = [part for item in items for part in (item[2:] if item[0] == "list" else (item,))]
        return ("list", tree[1], *flat)
    if kind == "assign":
        value = settle(tree[2])
        return value if value[0] in ("list", "set") else ("assign", tree[1], value)
    if kind == "in":
        inside = settle(tree[2])
        return inside if inside[0] == "set" else ("in", tree[1], inside)
    if kind == "chain":
        return _settle_chain(tree)
    if kind == "tuple":
        return (*tree[:2], *(settle(item) for item in tree[2:]))
    if kind == "set":
        items = [settle(item) for item in tree[1:]]
        flat = [part for item in items for part in (item[2:] if item[0] == "list" else (item,))]
        return ("set", *flat)
    if kind == "matrix" and len(tree[1]) == 1 and len(tree[1][0]) == 1:
        return settle(tree[1][0][0])
    if kind == "*" and sum(part[0] == "matrix" for part in tree[1:]) == 1:
        scalars = [part for part in tree[1:] if part[0] != "matrix"]
        rows = next(part for part in tree[1:] if part[0] == "matrix")[1]
        return ("matrix", tuple(tuple(("*", *scalars, x) for x in row) for row in rows))
    if kind == "neg" and tree[1][0] == "matrix":
        return ("matrix", tuple(tuple(("neg", x) for x in row) for row in tree[1][1]))
    signs = _count(tree, ("pm", "mp"))
    return _both_signs(tree, signs) if signs else tree


def _settle_chain(tree: Tree) -> Tree:
    operands, relations = tree[1], tree[2]
    if set(relations) != {"="}:
        return tree
    if operands[0][0] == "tuple" and operands[-1][0] == "tuple":
        return settle(operands[-1])
    numbers = [rational(operand) for operand in operands]
    if numbers[-1] is not None and all(number == numbers[-1] for number in numbers):
        return operands[-1]  # a calculation, such as 2 + 3 = 5
    if not any(names_in(operand) for operand in operands):
        judge = Quick()
        if all(judge.equal(operand, operands[-1]) is not False for operand in operands[:-1]):
            return operands[-1]
    return tree


def _count(tree: Tree, kinds: Sequence[str]) -> int:
    return (tree[0] in kinds) + sum(
        _count(p, kinds) for p in tree[1:] if isinstance(p, tuple) and p
    )


def _both_signs(tree: Tree, signs: int) -> Tree:
    """The values of a tree with ±: all together where there is a ∓, else each on its own."""
    if signs > MAX_SIGNS:
        return tree
    if _count(tree, ("mp",)):
        choices = [[True] * signs, [False] * signs]
    else:
        choices = [[bool(n >> i & 1) for i in range(signs)] for n in reversed(range(2**signs))]
    return ("list", ",", *(_with_signs(tree, iter(choice).__next__) for choice in choices))


def _with_signs(tree: Tree, positive: Callable[[], bool]) -> Tree:
    if tree[0] in ("pm", "mp"):
        plus = positive() == (tree[0] == "pm")
        inner = _with_signs(tree[1], positive)
        return inner if plus else ("neg", inner)
    return (
        tree[0],
        *(_with_signs(p, positive) if isinstance(p, tuple) and p else p for p in tree[1:]),
    )
