"""Whether two values are equal: `Quick` says yes, no, or None for "not cheaply"; `Precise` decides.

Both evaluate at random points. Where a value is rational this is exact arithmetic, and agreement
at several points an identity (Schwartz 1980, Zippel 1979). Elsewhere `Quick` only rejects, by
floats that differ by far more than their rounding; `Precise` compares the difference at two
precisions: that of equal values shrinks with the precision, that of others does not. What has no
value to compare goes to sympy.
"""

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from rewards.exact import Inexact, exact
from rewards.latex import Tree
from rewards.numeric import Evaluation, NoValue, names_in

POINTS = 4
COARSE, MORE = 50, 70  # digits, and how many more the second time
MAX_DIGITS = 40_000

Answer = bool | None

_FAILURES = (NoValue, ArithmeticError, ValueError, TypeError, NotImplementedError)


def all_of(answers: list[Answer]) -> Answer:
    """Whether all are yes; None if one is undecided and none is no."""
    return False if False in answers else None if None in answers else True


def points(names: set[str], seed: str) -> Iterator[dict[str, Fraction]]:
    """Points for `names`, all positive first, then of both signs; the same for the same seed."""
    if not names:
        yield {}
        return
    draw = random.Random(seed)
    for index in range(2 * POINTS):
        signs = (1,) if index < POINTS else (1, -1, -1)
        yield {
            name: draw.choice(signs) * Fraction(draw.randint(10_000, 300_000), 99_991)
            for name in sorted(names)
        }


def exactly_equal(a: Tree, b: Tree) -> bool | None:
    """Equality of two rational expressions at random points; None if they are none."""
    names = names_in(a) | names_in(b)
    compared = 0
    for point in points(names, f"{a}{b}"):
        try:
            if exact(a, point) != exact(b, point):
                return False
            compared += 1
        except ZeroDivisionError:
            continue
        except Inexact:
            return None
    return True if compared else None


class Quick:
    """Decides rational values, and rejects others by floats; bounded, for any thread."""

    def equal(self, a: Tree, b: Tree) -> bool | None:
        """Whether two values are equal; None if that takes more."""
        same = exactly_equal(a, b)
        if same is not None:
            return same
        import mpmath

        for point in points(names_in(a) | names_in(b), f"{a}{b}"):
            try:
                left, right = Evaluation(mpmath.fp, point), Evaluation(mpmath.fp, point)
                x, y = left.value(a), right.value(b)
            except _FAILURES:
                continue
            if left.complex_met != right.complex_met:
                continue
            rounding = 1e-12 * max(left.largest, right.largest)
            if abs(x - y) > max(1e-9 * max(abs(x), abs(y)), rounding):
                return False
        return None

    def approximate(self, tree: Tree) -> Fraction | None:
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


class Precise(Quick):
    """Decides all that has values; may take long, so it runs where it can be killed."""

    def equal(self, a: Tree, b: Tree) -> bool | None:
        quick = super().equal(a, b)
        if quick is not None:
            return quick
        imaginary = "('name', 'i')" in f"{a}{b}"
        for complex_allowed in (imaginary, True):
            compared = 0
            for point in points(names_in(a) | names_in(b), f"{a}{b}"):
                same = self._equal_at(a, b, point, complex_allowed)
                if same is False:
                    return False
                compared += bool(same)
            if compared >= (2 if names_in(a) | names_in(b) else 1):
                return True
        if self._has_value(a) != self._has_value(b):
            return False
        from rewards.symbolic import equal_by_sympy

        try:
            return equal_by_sympy(a, b)
        except ValueError:
            return False  # too large, or no values at all

    def _has_value(self, tree: Tree) -> bool:
        """Whether the tree has a value at any of its points."""
        import mpmath

        for point in points(names_in(tree), f"{tree}"):
            try:
                Evaluation(mpmath.mp, point).value(tree)
                return True
            except _FAILURES:
                continue
        return False

    def _equal_at(self, a: Tree, b: Tree, point: dict[str, Fraction], complex_allowed: bool):
        """Whether the values at `point` are equal; None if one has none."""
        import mpmath

        try:
            *_, largest, smallest = _difference(a, b, point, COARSE, complex_allowed)
            spread = abs(mpmath.log10(largest or 1)) + abs(mpmath.log10(smallest))
            coarse_digits = COARSE + int(spread)  # the smallest terms count beside the largest
            if coarse_digits > MAX_DIGITS:
                return None
            digits = coarse_digits + MORE
            coarse, *_ = _difference(a, b, point, coarse_digits, complex_allowed)
            fine, size, *_ = _difference(a, b, point, digits, complex_allowed)
        except _FAILURES:
            return None
        if fine == 0 or fine <= coarse * mpmath.mpf(10) ** (-MORE // 2):
            return True
        return bool(coarse == 0 and fine <= size * mpmath.mpf(10) ** (10 - digits))


def _difference(a: Tree, b: Tree, point: Any, digits: int, complex_allowed: bool):
    """|a − b|, the larger of |a| and |b|, the largest and smallest magnitudes met."""
    import mpmath

    with mpmath.workdps(digits):
        left, right = Evaluation(mpmath.mp, point), Evaluation(mpmath.mp, point)
        x, y = left.value(a), right.value(b)
        if (left.complex_met or right.complex_met) and not complex_allowed:
            raise NoValue("not real")
        largest, smallest = max(left.largest, right.largest), min(left.smallest, right.smallest)
        return abs(x - y), max(abs(x), abs(y)), largest, min(smallest, 1)
