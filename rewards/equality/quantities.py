"""Values with units: converted where both are known; times of day; angles; residues."""

from fractions import Fraction

from rewards.equality.exact import rational
from rewards.equality.values import HALF_TURN, is_decimal, is_in_degrees, percentage
from rewards.parse import tree as t
from rewards.parse.units import Unit, conversion

_RADIAN = (("angle", 1),)


def in_one_unit(answer: t.Tree, gold: t.Tree) -> list[tuple[t.Tree, t.Tree]]:
    """The pairs of values of which one must be equal; none where the units do not fit.

    Where one side has no unit, the other's is its own: of 3 hours and 20 minutes, either.
    """
    mine, theirs = (x.unit if isinstance(x, t.Quantity) else None for x in (answer, gold))
    a, g = (x.value if isinstance(x, t.Quantity) else x for x in (answer, gold))
    if mine is None and percentage(a) is not None and percentage(g) is None:
        return []  # 5% is no number of cents
    if theirs is None and percentage(g) is not None and percentage(a) is None:
        return []
    if mine and mine.dimensions == _RADIAN and is_in_degrees(g):
        return [(_degrees(a, mine), g)]
    if theirs and theirs.dimensions == _RADIAN and is_in_degrees(a):
        return [(a, _degrees(g, theirs))]
    scale = conversion(mine, theirs)
    if scale is None:
        return []
    pairs = [(_scaled(a, scale), g)]
    if isinstance(answer, t.Quantity) and answer.larger and theirs is None:
        pairs.append((_scaled(a, answer.unit.factor / answer.larger.factor), g))
    if isinstance(gold, t.Quantity) and gold.larger and mine is None:
        pairs.append((a, _scaled(g, gold.unit.factor / gold.larger.factor)))
    return pairs


def half_of_day(*trees: t.Tree) -> bool:
    """Whether one is a time before or after noon."""
    return any(isinstance(tree, t.Quantity) and _half(tree) for tree in trees)


def same_time(answer: t.Tree, gold: t.Tree) -> bool:
    """Whether two times of day are one; a time without half of day may be in either."""
    mine, theirs = _times(answer), _times(gold)
    return bool(mine & theirs)


def _half(tree: t.Tree) -> str:
    kind = tree.unit.dimensions[0][0] if isinstance(tree, t.Quantity) else ""
    return kind if kind in ("am", "pm", "clock") else ""


def _times(tree: t.Tree) -> set[Fraction]:
    """The minutes after midnight that a time can mean."""
    half = _half(tree)
    if isinstance(tree, t.Quantity) and not half:
        return set()
    value = tree.value if isinstance(tree, t.Quantity) else tree
    hours = rational(value)
    minutes = (
        Fraction(value.clock) if isinstance(value, t.Ratio) and value.clock is not None else None
    )
    if minutes is None and hours is not None:
        minutes = hours * 60
    if minutes is None or not 0 <= minutes <= 1440:
        return set()
    if half == "am":
        return {minutes % 720}
    if half == "pm":
        return {minutes % 720 + 720}
    return {minutes, minutes % 720 + 720} if minutes < 780 else {minutes}


def _degrees(value: t.Tree, unit: Unit) -> t.Tree:
    return t.Call("degrees", (t.Product((value, t.Number(unit.factor), HALF_TURN)),))


def _scaled(value: t.Tree, scale: Fraction) -> t.Tree:
    if scale == 1:
        return value
    number = rational(value)
    if number is not None and is_decimal(value):
        return t.Number(number * scale, decimal=(number * scale).denominator != 1)
    return t.Product((t.Number(scale), value))


def residues(answer: t.Tree, gold: t.Tree) -> tuple[t.Tree, t.Tree] | bool:
    """Whether 7 (mod 10) and 17 (mod 10) are one class; the values, where only one has a class."""
    mine, theirs = (
        tree.arguments if isinstance(tree, t.Call) and tree.name == "residue" else (tree,)
        for tree in (answer, gold)
    )
    if len(mine) == len(theirs) == 2:
        numbers = [rational(tree) for tree in (*mine, *theirs)]
        value, modulus, other, same = numbers
        if None not in numbers and modulus:
            return modulus == same and (value - other) % modulus == 0  # type: ignore[operator]
        if mine[1] != theirs[1]:
            return False
    return mine[0], theirs[0]
