"""Equality of two values, as exact or as approximate as they are written."""

import math
from fractions import Fraction

from rewards.exact import rational
from rewards.judges import Answer, Quick
from rewards.latex import Tree
from rewards.numeric import names_in


def values(answer: Tree, gold: Tree, judge: Quick) -> Answer:
    """Equality of two values; decimals by six significant digits, a gold in percent either way."""
    if gold[0] == "percent" and answer[0] != "percent" and values(answer, gold[1], judge):
        return True
    if gold[0] == "deg" or answer[0] == "deg":
        answer, gold = _degrees(answer, gold)
    a, g = rational(answer), rational(gold)
    if a is not None and g is not None:
        return a == g or (
            (_is_decimal(answer) or _is_decimal(gold)) and six_digits(a, g, _is_decimal(gold))
        )
    if _is_decimal(answer) and a is not None and not names_in(gold):
        g = judge.approximate(gold)
        return six_digits(a, g, False) if g is not None else judge.equal(answer, gold)
    if _is_decimal(gold) and g is not None and not names_in(answer):
        a = judge.approximate(answer)
        return six_digits(a, g, True) if a is not None else judge.equal(answer, gold)
    return judge.equal(answer, gold)


def _degrees(answer: Tree, gold: Tree) -> tuple[Tree, Tree]:
    """Both in degrees; a value with π in it is in radians."""
    half_turn: Tree = ("/", ("num", Fraction(180)), ("name", "pi"))
    sides = [answer, gold]
    for i, side in enumerate(sides):
        if side[0] == "deg":
            sides[i] = side[1]
        elif "('name', 'pi')" in repr(side):
            sides[i] = ("*", side, half_turn)
    return sides[0], sides[1]


def _is_decimal(tree: Tree) -> bool:
    """A literal with decimals, perhaps with a sign, a percent sign or a power of ten."""
    if tree[0] in ("neg", "percent"):
        return _is_decimal(tree[1])
    if tree[0] == "*" and len(tree) == 3:
        ten = tree[2][0] == "^" and tree[2][1] == ("num", Fraction(10))
        return ten and tree[1][0] == "dec"
    return tree[0] == "dec"


def six_digits(answer: Fraction, gold: Fraction, gold_is_decimal: bool) -> bool:
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
