"""Whether an answer is worked out as far as the gold is: `form = "final"`.

Without it, a policy that only copies the question's formula into a box is paid wherever the
question says "simplify", "evaluate" or "convert", because the formula has the gold's value.

A constant is worked out if it is a number, a fraction, a root, a multiple of π or e, a complex
number, or a sum of such terms, none of which could be joined. An operation that the gold leaves
standing (a power, a factorial, a logarithm) may stand in the answer too. An expression with
variables must be factored where the gold is, expanded where the gold is, and not much larger.
"""

from collections import Counter

from rewards.equality.exact import rational
from rewards.parse import tree as t

SLACK = 4  # nodes that an answer with variables may have more than its gold, beside a third


def has_final_form(answer: t.Tree, gold: t.Tree) -> bool:
    """Whether an answer that equals the gold also has its form."""
    answer, gold = _bare(answer), _bare(gold)
    base = _base(gold)
    if base is not None or _base(answer) is not None:
        return base == _base(answer)
    if isinstance(gold, t.Relation):
        return _is_solved_as_far(answer, gold)
    if isinstance(answer, t.Relation) and set(answer.signs) != {"="}:
        return all(_is_side(operand) for operand in answer.operands)
    if isinstance(answer, t.Relation):  # a calculation: its last side is the answer
        return has_final_form(answer.operands[-1], gold)
    if _holds_items(gold) or _holds_items(answer):
        return _items_have_final_form(answer, gold)
    if t.names_in(gold):
        return _has_shape(answer, gold)
    return unfinished(answer) <= unfinished(gold)


def _bare(tree: t.Tree) -> t.Tree:
    """Without the name before it, its unit, its sign."""
    while isinstance(tree, t.Assignment | t.Quantity | t.Negative | t.Member):
        tree = tree.of if isinstance(tree, t.Negative | t.Member) else tree.value
    if isinstance(tree, t.Approximation):
        return _bare(tree.exact)
    if isinstance(tree, t.Call) and tree.name in ("percent", "degrees", "residue"):
        return _bare(tree.arguments[0])
    return tree


def _base(tree: t.Tree) -> int | None:
    return tree.base if isinstance(tree, t.Number) else None


def _holds_items(tree: t.Tree) -> bool:
    return isinstance(tree, t.List | t.Tuple | t.Set | t.Matrix | t.SetOperation | t.Ratio)


def _items_have_final_form(answer: t.Tree, gold: t.Tree) -> bool:
    """Each item as the golds' items are, whatever their order."""
    items = [_bare(part) for part in t.parts_of(answer)] if _holds_items(answer) else [answer]
    golds = [_bare(part) for part in t.parts_of(gold)] if _holds_items(gold) else [gold]
    if any(isinstance(node, t.Matrix) for node in t.nodes(answer)) and not isinstance(
        answer, t.Matrix | t.List | t.Set
    ):
        return not isinstance(gold, t.Matrix)
    if any(_holds_items(item) for item in items):
        return all(any(has_final_form(item, other) for other in golds) for item in items)
    if any(isinstance(item, t.Relation) for item in items):
        return all(has_final_form(item, gold) for item in items if isinstance(item, t.Relation))
    allowed: Counter[str] = Counter()
    for other in golds:
        allowed |= unfinished(other)
    shaped = [other for other in golds if t.names_in(other)]
    return all(
        any(_has_shape(item, other) for other in shaped)
        if t.names_in(item) and shaped
        else unfinished(item) <= allowed
        for item in items
    )


def _is_solved_as_far(answer: t.Tree, gold: t.Relation) -> bool:
    """An equation or inequality that is no larger than the gold."""
    return _size(answer) <= _size(gold) * 4 // 3 + SLACK


def _is_side(tree: t.Tree) -> bool:
    """Whether a side of an inequality is a bare name or a finished number."""
    return isinstance(tree, t.Name) or (not t.names_in(tree) and not unfinished(tree))


def unfinished(tree: t.Tree) -> Counter[str]:
    """The operations of a constant that could still be carried out, by name."""
    found: Counter[str] = Counter()
    for node in t.nodes(tree):
        if isinstance(node, t.Call):
            found.update(_unfinished_call(node))
        elif isinstance(node, t.Power):
            found.update(_unfinished_power(node))
        elif isinstance(node, t.Sum):
            kinds = Counter(_kind(term) for term in node.terms)
            found["sum"] += sum(count - 1 for count in kinds.values())
        elif isinstance(node, t.Product):
            numbers = [f for f in node.factors if rational(f) is not None and not _is_scale(f)]
            roots = [f for f in node.factors if _kind(f).startswith("root")]
            sums = [f for f in node.factors if isinstance(f, t.Sum)]
            found["product"] += max(0, len(numbers) - 1) + max(0, len(roots) - 1)
            complex_sums = [f for f in sums if t.mentions(f, "i")]
            found["product of sums"] += max(0, len(sums) - 1) + len(complex_sums)
        elif isinstance(node, t.Quotient):
            whole = [_is_whole(part) for part in (node.over, node.under)]
            nested = any(
                isinstance(x, t.Quotient) for part in t.parts_of(node) for x in t.nodes(part)
            )
            if (rational(node) is not None and not all(whole)) or nested:
                found["quotient"] += 1
            if t.mentions(node.under, "i"):
                found["complex quotient"] += 1
    return +found


def _unfinished_call(node: t.Call) -> list[str]:
    if node.name == "root":
        return _unfinished_root(node)
    if node.name in ("percent", "degrees") and rational(node.arguments[0]) is not None:
        return []
    if node.name == "abs" and t.names_in(node):
        return []
    return [node.name]


def _unfinished_root(node: t.Call) -> list[str]:
    """A root that is rational, or of which a factor could be drawn; roots below a root."""
    radicand, degree = node.arguments
    if rational(node) is not None:
        return ["root"]
    found = ["nested root" for x in t.nodes(radicand) if isinstance(x, t.Call) and x.name == "root"]
    value, power = rational(radicand), rational(degree)
    if value is not None and power in (2, 3) and 1 < abs(value) < 10**12:
        for factor in (2, 3, 5, 7, 11, 13):
            if value.numerator % factor ** int(power) == 0:
                return [*found, "root"]
    return found


def _unfinished_power(node: t.Power) -> list[str]:
    if node.base == t.TEN or node.base in (t.Name("e"), t.Name("pi")):
        return []
    exponent = rational(node.exponent)
    if exponent is not None and exponent.denominator == 1:
        return ["power"]
    return [] if rational(node.base) is not None and exponent is not None else ["power"]


def _is_scale(tree: t.Tree) -> bool:
    """A power of ten, as in 6.02 × 10^23."""
    return isinstance(tree, t.Power) and tree.base == t.TEN


def _is_whole(tree: t.Tree) -> bool:
    if isinstance(tree, t.Negative):
        return _is_whole(tree.of)
    return isinstance(tree, t.Number) and tree.value.denominator == 1


def _kind(term: t.Tree) -> str:
    """What a term of a constant is a multiple of: terms of one kind could be joined."""
    if isinstance(term, t.Negative):
        return _kind(term.of)
    if rational(term) is not None:
        return "number"
    if isinstance(term, t.Quotient):
        return _kind(term.over) if rational(term.under) is not None else str(term)
    if isinstance(term, t.Product):
        rest = sorted(_kind(f) for f in term.factors if rational(f) is None)
        return " ".join(rest)
    if isinstance(term, t.Call) and term.name == "root":
        return f"root {term.arguments}"
    return str(term)


def _has_shape(answer: t.Tree, gold: t.Tree) -> bool:
    """For expressions with variables: factored, or expanded, as the gold, and about as large."""
    mine, theirs = _sum_factors(answer), _sum_factors(gold)
    if mine != theirs or (_has_sum(answer) and not _has_sum(gold)):
        return False
    if not theirs and isinstance(gold, t.Sum) and not _is_expanded(answer) and _is_expanded(gold):
        return False
    return _size(answer) <= _size(gold) * 4 // 3 + SLACK


def _has_sum(tree: t.Tree) -> bool:
    return any(isinstance(node, t.Sum) for node in t.nodes(tree))


def _sum_factors(tree: t.Tree) -> int:
    """How many factors of a product are sums with variables, powers counted."""
    tree = _bare(tree)
    if isinstance(tree, t.Quotient):
        return _sum_factors(tree.over)
    if isinstance(tree, t.Product):
        return sum(_sum_factors(_as_factor(factor)) for factor in tree.factors)
    if isinstance(tree, t.Power) and isinstance(_bare(tree.base), t.Sum) and t.names_in(tree):
        exponent = rational(tree.exponent)
        return int(exponent) if exponent is not None and 1 <= exponent <= 99 else 1
    if isinstance(tree, t.Call) and tree.name == "a factor":
        return int(isinstance(tree.arguments[0], t.Sum) and bool(t.names_in(tree)))
    return 0


def _as_factor(tree: t.Tree) -> t.Tree:
    return t.Call("a factor", (tree,)) if isinstance(tree, t.Sum) else tree


def _is_expanded(tree: t.Tree) -> bool:
    """Whether a sum has no brackets to multiply out, and no two terms that could be joined."""
    tree = _bare(tree)
    if not isinstance(tree, t.Sum):
        return not isinstance(tree, t.Product | t.Power) or not _sum_factors(tree)
    terms = [_bare(term) for term in tree.terms]
    if any(isinstance(term, t.Sum) or _sum_factors(term) for term in terms):
        return False
    return max(Counter(map(_monomial, terms)).values()) == 1


def _monomial(term: t.Tree) -> str:
    """The variables and powers of a term, without its coefficient."""
    factors = term.factors if isinstance(term, t.Product) else (term,)
    if isinstance(term, t.Quotient) and not t.names_in(term.under):
        return _monomial(term.over)
    return " ".join(sorted(str(factor) for factor in factors if t.names_in(factor)))


def _size(tree: t.Tree) -> int:
    return sum(1 for _ in t.nodes(tree))
