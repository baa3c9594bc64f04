"""Equality of two values, as exact or as approximate as they are written."""

import math
from fractions import Fraction

from rewards.equality.arithmetic import Answer, QuickArithmetic, any_of
from rewards.equality.exact import rational
from rewards.parse import tree as t

HALF_TURN = t.Quotient(t.Number(Fraction(180)), t.Name("pi"))


def same_value(answer: t.Tree, gold: t.Tree, arithmetic: QuickArithmetic) -> Answer:
    """Equality of two values: percentages either way, decimals by six significant digits."""
    mine, theirs = percentage(answer), percentage(gold)
    if mine is not None and theirs is not None:
        return same_value(mine, theirs, arithmetic)
    if mine is not None:
        shared = _literal(t.Quotient(mine, t.Number(Fraction(100))))
        return any_of([same_value(side, gold, arithmetic) for side in (mine, shared)])
    if theirs is not None:
        shared = _literal(t.Quotient(theirs, t.Number(Fraction(100))))
        return any_of([same_value(answer, side, arithmetic) for side in (theirs, shared)])
    if is_in_degrees(answer) or is_in_degrees(gold):
        answer, gold = _in_degrees(answer), _in_degrees(gold)
    a, g = rational(answer), rational(gold)
    if a is not None and g is not None:
        approximate = is_decimal(answer) or is_decimal(gold)
        return a == g or (approximate and agree_to_six_digits(a, g, is_decimal(gold)))
    if is_decimal(answer) and a is not None and not t.names_in(gold):
        g = arithmetic.approximate(gold)
        if g is not None:
            return agree_to_six_digits(a, g, False)
    if is_decimal(gold) and g is not None and not t.names_in(answer):
        a = arithmetic.approximate(answer)
        if a is not None:
            return agree_to_six_digits(a, g, True)
    return arithmetic.equal(answer, gold)


def percentage(tree: t.Tree) -> t.Tree | None:
    """The number of percents of a percentage, else None."""
    if isinstance(tree, t.Negative) and (inner := percentage(tree.of)) is not None:
        return t.Negative(inner)
    if isinstance(tree, t.Call) and tree.name == "percent":
        return tree.arguments[0]
    return None


def _literal(share: t.Quotient) -> t.Tree:
    """A share of a literal as a literal, so that 33.3333% is as rounded as 0.333333."""
    value = rational(share)
    if value is not None and is_decimal(share.over):
        return t.Number(value, decimal=True)
    return share


def is_in_degrees(tree: t.Tree) -> bool:
    inner = tree.of if isinstance(tree, t.Negative) else tree
    return isinstance(inner, t.Call) and inner.name == "degrees"


def _in_degrees(tree: t.Tree) -> t.Tree:
    """In degrees, without the sign; a value with π in it is in radians."""
    if isinstance(tree, t.Negative):
        return t.Negative(_in_degrees(tree.of))
    if isinstance(tree, t.Call) and tree.name == "degrees":
        return tree.arguments[0]
    if t.mentions(tree, "pi"):
        return t.Product((tree, HALF_TURN))
    return tree


def is_decimal(tree: t.Tree) -> bool:
    """A literal with decimals, perhaps with a sign or a power of ten."""
    if isinstance(tree, t.Negative):
        return is_decimal(tree.of)
    if isinstance(tree, t.Product) and len(tree.factors) == 2:
        first, second = tree.factors
        ten = isinstance(second, t.Power) and second.base == t.TEN
        return ten and is_decimal(first)
    return isinstance(tree, t.Number) and tree.decimal


def agree_to_six_digits(answer: Fraction, gold: Fraction, gold_is_decimal: bool) -> bool:
    """Whether a decimal agrees with the other value to 6 significant digits, rounded or cut off.

    Not for whole numbers that differ, however long: they could have been written exactly.
    """
    if answer == gold:
        return True
    if not answer or not gold or (answer > 0) != (gold > 0):
        return False
    if answer.denominator == 1 or (gold.denominator == 1 and abs(gold) >= 10**5):
        return False
    a, g = abs(answer), abs(gold)
    leading = math.floor(math.log10(g.numerator) - math.log10(g.denominator))
    scale = Fraction(10) ** (5 - leading)
    x, y = a * scale, g * scale
    rounded = math.floor(x + Fraction(1, 2)) == math.floor(y + Fraction(1, 2))
    return rounded or (not gold_is_decimal and math.floor(x) == math.floor(y))
