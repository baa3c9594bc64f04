"""Free constants have no name of their own: x² + C is x² + c, and π/2 + nπ is π/2 + kπ."""

import itertools

from rewards.parse import tree as t

_OF_INTEGRATION = ("C", "c", "K", "k", "C_1", "c_1", "C_2", "c_2", "C_0", "c_0", "D", "A", "B")
_OF_GOLDS = ("C", "c", "K", "C_1", "c_1", "C_2", "c_2")
_VARIABLES = frozenset(("x", "y", "z", "t", "u", "v", "w", "s", "r", "theta"))
_WHOLE = frozenset(("n", "k", "m"))


def with_the_golds_constants(answer: t.Tree, gold: t.Tree) -> list[t.Tree]:
    """The answer, with its free constants under the gold's names where both have as many.

    Those are a constant of integration, added once, the whole number of turns in nπ or 360°n, or
    the constants of a differential equation, which stand beside functions: Ce^x. Two in any order.
    """
    mine, theirs = t.names_in(answer), t.names_in(gold)
    own, golds = sorted(mine - theirs), sorted(theirs - mine)
    one = _with_one_constant(answer, gold, set(own), set(golds))
    as_many = one is answer and 0 < len(own) == len(golds) <= 2
    if not as_many or not {*own} <= {*_OF_INTEGRATION} or not _is_of_function(gold, golds):
        return [one]
    orders = itertools.permutations(map(t.Name, golds))
    return [t.substituted(answer, dict(zip(own, order, strict=True))) for order in orders]


def _is_of_function(gold: t.Tree, names: list[str]) -> bool:
    """Whether a value has such constants and functions of a variable, but no other name."""
    over = {name for node in t.nodes(gold) if _is_function(node) for name in t.names_in(node)}
    return bool(over & _VARIABLES) and {*names} <= {*_OF_GOLDS} - {"K"} - over


def _is_function(node: t.Tree) -> bool:
    exponent = isinstance(node, t.Power) and t.names_in(node.exponent)
    return bool(exponent) or (isinstance(node, t.Call) and node.name != "root")


def _with_one_constant(answer: t.Tree, gold: t.Tree, own: set[str], golds: set[str]) -> t.Tree:
    theirs = t.names_in(gold)
    if len(own) > 1 or len(golds) > 1 or not theirs:
        return answer
    if own and golds and own | golds <= _WHOLE and _has_turns(gold) and _has_turns(answer):
        return t.substituted(answer, {own.pop(): t.Name(golds.pop())})
    if not isinstance(answer, t.Sum) or not isinstance(gold, t.Sum) or not theirs & _VARIABLES:
        return answer
    constants = [name for name in golds or theirs if name in _OF_GOLDS and _is_added(gold, name)]
    if len(constants) != 1:
        return answer
    name = own.pop() if own else constants[0]
    if name not in _OF_INTEGRATION or not _is_added(answer, name):
        return answer
    terms = (term for term in answer.terms if term not in (t.Name(name), t.Negative(t.Name(name))))
    return t.Sum((*terms, t.Name(constants[0])))


def _is_added(tree: t.Sum, name: str) -> bool:
    """Whether a name is a term of a sum, and stands nowhere else in it."""
    places = [node for node in t.nodes(tree) if node == t.Name(name)]
    terms = [term for term in tree.terms if term in (t.Name(name), t.Negative(t.Name(name)))]
    return len(places) == len(terms) == 1


def _has_turns(tree: t.Tree) -> bool:
    return t.mentions(tree, "pi") or t.calls(tree, "degrees")
