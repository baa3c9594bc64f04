"""Whether an answer has the meaning of the gold: structures first, then their values.

Every function answers yes, no, or None where the arithmetic could not tell cheaply.
"""

import re
from fractions import Fraction

from rewards.equality.arithmetic import Answer, QuickArithmetic, all_of, any_of
from rewards.equality.canonical import asked_value, canonical
from rewards.equality.constants import with_the_golds_constants
from rewards.equality.exact import rational
from rewards.equality.quantities import half_of_day, in_one_unit, residues, same_time
from rewards.equality.relations import (
    is_equation,
    is_region,
    is_solved,
    same_equation,
    same_region,
)
from rewards.equality.values import same_value
from rewards.equality.vectors import in_components
from rewards.parse import tree as t

MAX_ITEMS = 60
_OF_LETTER = re.compile(r"[a-zA-Z]\(([a-z])\)")


def same_meaning(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """Whether two trees mean the same."""
    answer, gold = canonical(answer), canonical(gold)
    if isinstance(answer, t.Word) or isinstance(gold, t.Word):
        words = isinstance(answer, t.Word) and isinstance(gold, t.Word) and answer.text != "trivial"
        return words and answer.text.casefold() == gold.text.casefold()  # type: ignore[union-attr,attr-defined]
    if answer == gold:
        return True
    answer, gold = in_components(answer, gold)
    if isinstance(answer, t.Approximation) or isinstance(gold, t.Approximation):
        return _approximations(answer, gold, arithmetic)
    if isinstance(answer, t.Quantity) or isinstance(gold, t.Quantity):
        return _quantities(answer, gold, arithmetic)
    if isinstance(answer, t.Assignment) or isinstance(gold, t.Assignment):
        return _assignments(answer, gold, arithmetic)
    if is_equation(answer) or is_equation(gold):
        return _equations(answer, gold, arithmetic)
    if is_region(answer) or is_region(gold):
        return same_region(answer, gold, arithmetic)
    if any(isinstance(tree, t.Call) and tree.name == "residue" for tree in (answer, gold)):
        classes = residues(answer, gold)
        return classes if isinstance(classes, bool) else same_meaning(*classes, arithmetic)
    return _collections(answer, gold, arithmetic)


def _collections(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    both = (answer, gold)
    if isinstance(answer, t.List) and isinstance(gold, t.List):
        names = all(isinstance(item, t.Name | t.Word) for item in (*answer.items, *gold.items))
        separators = {answer.separator, gold.separator}
        if names and "or" in separators and len(separators) > 1:
            return False  # p and q is not p or q
    if any(isinstance(tree, t.Matrix) for tree in both):
        return _matrices(answer, gold, arithmetic)
    if any(isinstance(tree, t.Set) for tree in both) or all(isinstance(x, t.List) for x in both):
        return _unordered(_members(answer), _members(gold), arithmetic)
    if any(isinstance(tree, t.Tuple) for tree in both):
        return _tuples(answer, gold, arithmetic)
    if any(isinstance(tree, t.List) for tree in both):
        return _unordered(_members(answer), _members(gold), arithmetic)
    if isinstance(answer, t.Ratio) and isinstance(gold, t.Ratio):
        return _ratios(answer, gold, arithmetic)
    renamed = with_the_golds_constants(answer, gold)
    return any_of([same_value(one, gold, arithmetic) for one in renamed])


def _approximations(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """`√2 ≈ 1.41` is right for either side, if the one does round to the other."""
    if isinstance(answer, t.Approximation):
        if t.names_in(answer.exact):
            return same_meaning(answer.rounded, gold, arithmetic)
        if not _is_rounded(answer, arithmetic):
            return False
        sides = (answer.exact, answer.rounded)
        return any_of([same_meaning(side, gold, arithmetic) for side in sides])
    assert isinstance(gold, t.Approximation)
    sides = (gold.exact, gold.rounded)
    return any_of([same_meaning(answer, side, arithmetic) for side in sides])


def _is_rounded(tree: t.Approximation, arithmetic: QuickArithmetic) -> bool:
    exact, rounded = (
        side.value if isinstance(side, t.Quantity) else side for side in (tree.exact, tree.rounded)
    )
    value, near = arithmetic.approximate(exact), rational(rounded)
    if value is None or near is None:
        return False
    unit = Fraction(1)
    while unit > Fraction(1, 10**12) and (near / unit).denominator != 1:
        unit /= 10
    return abs(value - near) <= unit * Fraction(51, 100) or 0 < abs(value) - abs(near) < unit


def _quantities(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """Values in units; where one has none, the other's is its own."""
    if isinstance(answer, t.Assignment) or isinstance(gold, t.Assignment):
        return _assignments(answer, gold, arithmetic)
    if isinstance(answer, t.List | t.Set | t.Tuple) or isinstance(gold, t.List | t.Set | t.Tuple):
        return _collections(answer, gold, arithmetic)
    if half_of_day(answer, gold):
        return same_time(answer, gold)
    return any_of([same_meaning(a, g, arithmetic) for a, g in in_one_unit(answer, gold)])


def _assignments(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """`x = 5` is 5; two assignments are of the same name; against an equation it is one."""
    if isinstance(answer, t.Assignment) and isinstance(gold, t.Assignment):
        letters = [tree.name for tree in (answer, gold) if len(tree.name) == 1]
        if len(letters) == 2 and letters[0] != letters[1]:
            return same_equation(answer, gold, arithmetic)
        of, gold_of = (_OF_LETTER.fullmatch(tree.name) for tree in (answer, gold))
        named = {of[1]: t.Name(gold_of[1])} if of and gold_of else {}  # f(t) = 2t is f(x) = 2x
        same = same_meaning(t.substituted(answer.value, named), gold.value, arithmetic)
        if same is False and answer.name.isupper() and gold.name.isupper():  # PV = nRT
            return same_equation(answer, gold, arithmetic)
        return same
    other = gold if isinstance(answer, t.Assignment) else answer
    if is_equation(other):
        if is_solved(gold):
            value = asked_value(answer)
            assert isinstance(gold, t.Assignment)
            return value is not None and same_meaning(value, gold.value, arithmetic)
        value = asked_value(other) if other is gold else None
        if value is not None and same_meaning(answer, value, arithmetic):
            return True
        return same_equation(answer, gold, arithmetic)
    if is_region(other) and not isinstance(other, t.List):
        return same_region(answer, gold, arithmetic)
    mine, theirs = (x.value if isinstance(x, t.Assignment) else x for x in (answer, gold))
    return same_meaning(mine, theirs, arithmetic)


def _equations(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """Two equations up to a factor; `m + n = 125` against the value that was asked for."""
    if is_equation(answer) and is_equation(gold):
        same = same_equation(answer, gold, arithmetic)
        if same is not False:
            return same
        values = asked_value(answer), asked_value(gold)
        left = [tree.operands[0] for tree in (answer, gold) if isinstance(tree, t.Relation)]
        if None in values or left[0] != left[1]:
            return False
        return same_meaning(values[0], values[1], arithmetic)  # type: ignore[arg-type]
    if is_equation(answer):
        value = asked_value(answer)
        return value is not None and same_meaning(value, gold, arithmetic)
    value = asked_value(gold)
    if value is None or t.names_in(gold) & {"x", "y", "z"}:
        return False
    return same_meaning(answer, value, arithmetic)


def _unordered(answers: list[t.Tree], golds: list[t.Tree], arithmetic: QuickArithmetic) -> Answer:
    """Equality as sets: each answer is among the golds and each gold among the answers."""
    if len(answers) > MAX_ITEMS or len(golds) > MAX_ITEMS:
        return False
    if not answers or not golds:
        return not answers and not golds
    table = [[same_meaning(a, g, arithmetic) for g in golds] for a in answers]
    columns = [list(column) for column in zip(*table, strict=True)]
    return all_of([any_of(line) for line in [*table, *columns]])


def _members(tree: t.Tree) -> list[t.Tree]:
    return list(tree.items) if isinstance(tree, t.Set | t.List) else [tree]


def _tuples(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """Ordered; a bare list is taken as the tuple it could be."""
    if not isinstance(answer, t.Tuple | t.List) or not isinstance(gold, t.Tuple | t.List):
        return False
    if len(answer.items) != len(gold.items):
        return False
    brackets = {tree.brackets for tree in (answer, gold) if isinstance(tree, t.Tuple)}
    bare = isinstance(answer, t.List) or isinstance(gold, t.List)
    if len(brackets) > 1 or (bare and brackets != {"()"}):
        return False
    pairs = zip(answer.items, gold.items, strict=True)
    return all_of([same_meaning(a, g, arithmetic) for a, g in pairs])


def _matrices(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    mine, theirs = _rows(answer), _rows(gold)
    if (
        mine
        and theirs
        and 1 in (len(mine), len(theirs))
        and {type(answer), type(gold)} != {t.Matrix}
    ):
        mine, theirs = (tuple((x,) for row in rows for x in row) for rows in (mine, theirs))
    if mine is None or theirs is None or [len(r) for r in mine] != [len(r) for r in theirs]:
        return False
    pairs = zip((x for row in mine for x in row), (x for row in theirs for x in row), strict=True)
    return all_of([same_meaning(a, g, arithmetic) for a, g in pairs])


def _rows(tree: t.Tree) -> tuple[tuple[t.Tree, ...], ...] | None:
    """The rows of a matrix; a tuple is a column."""
    if isinstance(tree, t.Matrix):
        return tree.rows
    if isinstance(tree, t.Tuple) and tree.brackets == "()":
        return tuple((item,) for item in tree.items)
    return None


def _ratios(answer: t.Ratio, gold: t.Ratio, arithmetic: QuickArithmetic) -> Answer:
    if answer.clock is not None and gold.clock is not None:
        return answer.clock == gold.clock
    if len(answer.parts) != len(gold.parts):
        return False
    pairs = zip(answer.parts[1:], gold.parts[1:], strict=True)
    first, other = answer.parts[0], gold.parts[0]
    crossed = [arithmetic.equal(t.Product((a, other)), t.Product((g, first))) for a, g in pairs]
    return all_of(crossed)
