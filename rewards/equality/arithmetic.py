"""Whether two values are equal: cheaply where that is possible, else with many digits.

Both evaluate at random points of every sign and scale. Where a value is rational this is exact
arithmetic, and agreement at several points an identity (Schwartz 1980, Zippel 1979). Elsewhere
`QuickArithmetic` only rejects, by floats that differ by far more than their rounding;
`PreciseArithmetic` compares the difference at two precisions: that of equal values shrinks with
the precision, that of others does not.
"""

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from rewards.equality.exact import Inexact, exact
from rewards.equality.numeric import Evaluation, NoValue
from rewards.parse import tree as t

WHOLE = None  # the scale of points of whole numbers
# Of the points in turn: powers of ten, and the sign of all names, 0 for any signs.
SCALES: tuple[tuple[int | None, int], ...] = (
    (0, 1), (0, -1), (0, 0), (WHOLE, 1), (1, 1), (1, -1), (-1, 0), (2, 1), (2, -1), (0, 0), (3, 1),
    (3, -1), (1, 0), (5, 1), (5, -1), (-3, 0), (2, 0),
)  # fmt: skip
ENOUGH = 4  # points that are computed with many digits, of those that agree as floats
COARSE, MORE = 50, 70  # digits, and how many more the second time
MAX_DIGITS, MAX_DIGITS_AT_POINT = 40_000, 1_000

Answer = bool | None  # None: not known

_FAILURES = (NoValue, ArithmeticError, ValueError, TypeError, NotImplementedError)


def all_of(answers: list[Answer]) -> Answer:
    """Whether all are yes; None if one is not known and none is no."""
    return False if False in answers else None if None in answers else True


def any_of(answers: list[Answer]) -> Answer:
    """Whether one is yes; None if none is, but one is not known."""
    return True if True in answers else None if None in answers else False


def points(names: set[str], *, whole: bool = False) -> Iterator[dict[str, Fraction]]:
    """Points of every sign and scale, by the place of a name in the alphabet; one if no names.

    `whole`: only where all names are small whole numbers.
    """
    if not names:
        yield {}
        return
    draw = random.Random(len(names))
    for scale, sign in SCALES:
        if whole or scale is WHOLE:
            yield {name: Fraction(draw.randint(1, 9)) for name in sorted(names)}
            continue
        signs = (sign,) if sign else (1, 1, -1)
        size = Fraction(10) ** scale
        yield {
            name: draw.choice(signs) * size * Fraction(draw.randint(10_000, 300_000), 99_991)
            for name in sorted(names)
        }


def points_of(*trees: t.Tree) -> Iterator[dict[str, Fraction]]:
    """Points where trees are compared: whole ones for (2n)!! and (-1)^n, which are for such n."""
    names = set().union(*(t.names_in(tree) for tree in trees))
    return points(names, whole=any(_is_of_whole(node) for tree in trees for node in t.nodes(tree)))


def _is_of_whole(node: t.Tree) -> bool:
    if isinstance(node, t.Power):
        return node.base == t.Negative(t.ONE) and bool(t.names_in(node.exponent))
    return isinstance(node, t.Call) and node.name == "!!"


def equal_exactly(a: t.Tree, b: t.Tree) -> Answer:
    """Equality of two rational expressions at random points; None if they are none."""
    compared = 0
    for point in points_of(a, b):
        try:
            if exact(a, point) != exact(b, point):
                return False
            compared += 1
        except ZeroDivisionError:
            continue
        except Inexact:
            return None
    return True if compared else None


def is_imaginary(*trees: t.Tree) -> bool:
    """Whether i stands in a tree."""
    return any(t.mentions(tree, "i") for tree in trees)


class QuickArithmetic:
    """Decides rational values, and rejects others by floats; bounded, for any thread."""

    def equal(self, a: t.Tree, b: t.Tree) -> Answer:
        """Whether two values are equal; None if that takes more."""
        same = equal_exactly(a, b)
        if same is not None:
            return same
        import mpmath

        real = differ_when_complex = 0
        for point in points_of(a, b):
            try:
                left, right = Evaluation(mpmath.fp, point), Evaluation(mpmath.fp, point)
                x, y = left.value(a), right.value(b)
            except _FAILURES:
                continue
            rounding = 1e-12 * max(left.largest, right.largest)
            differ = abs(x - y) > max(1e-9 * max(abs(x), abs(y)), rounding)
            if left.complex_met or right.complex_met:
                both = left.complex_met and right.complex_met
                differ_when_complex += differ and (both or not point)
                continue
            if differ:
                return False
            real += 1
        if differ_when_complex and (is_imaginary(a, b) or not real):
            return False
        return None

    def approximate(self, tree: t.Tree) -> Fraction | None:
        """A real constant to at least 10 digits, or None."""
        import mpmath

        try:
            evaluation = Evaluation(mpmath.fp, {})
            value = evaluation.value(tree)
            if mpmath.fp.im(value) or evaluation.largest > 1e4 * abs(value):
                return None
            return Fraction(float(mpmath.fp.re(value)))
        except _FAILURES:
            return None


class PreciseArithmetic(QuickArithmetic):
    """Decides all that has values; may take long, so it runs where it can be killed."""

    def equal(self, a: t.Tree, b: t.Tree) -> Answer:
        quick = super().equal(a, b)
        if quick is not None:
            return quick
        names = t.names_in(a) | t.names_in(b)
        for complex_allowed in (is_imaginary(a, b), True):
            compared = 0
            for point in points_of(a, b):
                same = self._equal_at(a, b, point, complex_allowed)
                if same is False:
                    return False
                compared += bool(same)
                if compared >= ENOUGH:
                    break
            if compared >= (2 if names else 1):
                return True
        return False  # no values to compare

    def _equal_at(self, a: t.Tree, b: t.Tree, point: Any, complex_allowed: bool) -> Answer:
        """Whether the values at `point` are equal; None if one has none."""
        import mpmath

        try:
            _, largest, smallest = _difference(a, b, point, COARSE, complex_allowed)
            spread = abs(mpmath.log10(largest or 1)) + abs(mpmath.log10(smallest))
            coarse_digits = COARSE + int(spread)  # the smallest terms count beside the largest
            if coarse_digits > (MAX_DIGITS_AT_POINT if point else MAX_DIGITS):
                return None
            digits = coarse_digits + MORE
            coarse, *_ = _difference(a, b, point, coarse_digits, complex_allowed)
            fine, size, _ = _difference(a, b, point, digits, complex_allowed)
        except _FAILURES:
            return None
        if fine == 0 or fine <= coarse * mpmath.mpf(10) ** (-MORE // 2):
            return True
        return bool(fine <= size * mpmath.mpf(10) ** (10 - digits))


def _difference(a: t.Tree, b: t.Tree, point: Any, digits: int, complex_allowed: bool):
    """|a − b|, and the largest and smallest magnitudes met on the way."""
    import mpmath

    with mpmath.workdps(digits):
        left, right = Evaluation(mpmath.mp, point), Evaluation(mpmath.mp, point)
        x, y = left.value(a), right.value(b)
        if (left.complex_met or right.complex_met) and not complex_allowed:
            raise NoValue("not real")
        largest, smallest = max(left.largest, right.largest), min(left.smallest, right.smallest)
        return abs(x - y), largest, min(smallest, 1)
