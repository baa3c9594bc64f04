"""Free constants have no name of their own: x² + C is x² + c, and π/2 + nπ is π/2 + kπ."""

from rewards.parse import tree as t

_OF_INTEGRATION = ("C", "c", "K", "k", "C_1", "c_1", "C_0", "c_0", "D", "A")
_OF_GOLDS = ("C", "c", "K", "C_1", "c_1")
_VARIABLES = frozenset(("x", "y", "z", "t", "u", "v", "w", "s", "r", "theta"))
_WHOLE = frozenset(("n", "k", "m"))


def with_the_golds_constant(answer: t.Tree, gold: t.Tree) -> t.Tree:
    """The answer with its one free constant under the gold's name, where both have one.

    That is a constant of integration, added once, or the whole number of turns in nπ or 360°n.
    """
    mine, theirs = t.names_in(answer), t.names_in(gold)
    own, golds = mine - theirs, theirs - mine
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
