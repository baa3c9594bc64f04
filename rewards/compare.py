"""Whether an answer has the meaning of the gold: structures first, then their values.

Every function answers yes, no, or None where its judge could not decide cheaply.
"""

from rewards.judges import Answer, Quick, all_of
from rewards.latex import Tree
from rewards.relations import is_equation, is_region, same_equation, same_region
from rewards.settle import settle
from rewards.values import values

MAX_ITEMS = 60


def compare(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    """Whether two trees mean the same."""
    answer, gold = settle(answer), settle(gold)
    if answer == gold:
        return True
    if "word" in (answer[0], gold[0]):
        return answer[0] == gold[0] and answer[1].casefold() == gold[1].casefold()
    if answer[0] == "assign" or gold[0] == "assign":
        return _assignments(answer, gold, judge)
    if is_equation(answer) or is_equation(gold):
        return same_equation(answer, gold, judge)
    if is_region(answer) or is_region(gold):
        return same_region(answer, gold, judge)
    if answer[0] == "matrix" or gold[0] == "matrix":
        return _matrices(answer, gold, judge)
    if "set" in (answer[0], gold[0]) or answer[0] == gold[0] == "list":
        return _unordered(_members(answer), _members(gold), judge)
    if "tuple" in (answer[0], gold[0]):
        return _tuples(answer, gold, judge)
    if "list" in (answer[0], gold[0]):
        return _unordered(_members(answer), _members(gold), judge)
    if answer[0] == gold[0] == "ratio" and len(answer) + len(gold) > 6:
        return _ratios(answer, gold, judge)
    return values(answer, gold, judge)


def _assignments(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    """`x = 5` is 5; two assignments are of the same name; against an equation it is one."""
    if answer[0] == gold[0] == "assign":
        letters = [tree[1] for tree in (answer, gold) if len(tree[1]) == 1]
        if len(letters) == 2 and letters[0] != letters[1]:
            return same_equation(answer, gold, judge)
        return compare(answer[2], gold[2], judge)
    other = gold if answer[0] == "assign" else answer
    if is_equation(other):
        return same_equation(answer, gold, judge)
    if is_region(other) and other[0] != "list":
        return same_region(answer, gold, judge)
    mine, theirs = (tree[2] if tree[0] == "assign" else tree for tree in (answer, gold))
    return compare(mine, theirs, judge)


def _unordered(answers: list[Tree], golds: list[Tree], judge: Quick) -> Answer:
    """Equality as sets: each answer is among the golds and each gold among the answers."""
    if len(answers) > MAX_ITEMS or len(golds) > MAX_ITEMS:
        return False
    if not answers or not golds:
        return not answers and not golds
    table = [[compare(a, g, judge) for g in golds] for a in answers]
    columns = [list(column) for column in zip(*table, strict=True)]
    found = [
        True if True in line else None if None in line else False for line in [*table, *columns]
    ]
    return all_of(found)


def _members(tree: Tree) -> list[Tree]:
    if tree[0] == "set":
        return list(tree[1:])
    if tree[0] == "list":
        return list(tree[2:])
    return [tree]


def _tuples(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    """Ordered; a bare list is taken as the tuple it could be."""
    brackets = {tree[1] for tree in (answer, gold) if tree[0] == "tuple"}
    others = [tree for tree in (answer, gold) if tree[0] not in ("tuple", "list")]
    if len(brackets) > 1 or others or len(answer) != len(gold):
        return False
    if "list" in (answer[0], gold[0]) and brackets != {"()"}:
        return False
    return all_of([compare(a, g, judge) for a, g in zip(answer[2:], gold[2:], strict=True)])


def _matrices(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    sides = [_rows(answer), _rows(gold)]
    if None in sides or [len(r) for r in sides[0] or ()] != [len(r) for r in sides[1] or ()]:
        return False
    pairs = zip(*([x for row in side or () for x in row] for side in sides), strict=True)
    return all_of([compare(a, g, judge) for a, g in pairs])


def _rows(tree: Tree) -> tuple[tuple[Tree, ...], ...] | None:
    """The rows of a matrix; a tuple is a column."""
    if tree[0] == "matrix":
        return tree[1]
    if tree[:2] == ("tuple", "()"):
        return tuple((item,) for item in tree[2:])
    return None


def _ratios(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    if len(answer) != len(gold):
        return False
    pairs = zip(answer[2:], gold[2:], strict=True)
    return all_of([judge.equal(("*", a, gold[1]), ("*", g, answer[1])) for a, g in pairs])
