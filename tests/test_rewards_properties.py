"""Properties of the checker: equal values in any spelling, perturbed ones never, order no matter."""

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards import Checker, check
from rewards.functions import format_reward, length_penalty, repetition_penalty

whole = st.integers(-(10**9), 10**9)
fractions = st.fractions(min_value=-1000, max_value=1000, max_denominator=999)
small = st.integers(-9, 9)


def boxed(text: str, gold: str) -> int:
    return check(rf"\boxed{{{text}}}", gold).reward


def spellings(value: Fraction) -> list[str]:
    over, under = value.numerator, value.denominator
    sign, size = ("-", abs(over)) if over < 0 else ("", over)
    found = [
        rf"\frac{{{over}}}{{{under}}}", f"{over}/{under}", rf"{sign}\dfrac{{{size}}}{{{under}}}",
        rf"${over}/{under}$", rf"\left(\frac{{{3 * over}}}{{{3 * under}}}\right)",
        rf"x = {over}/{under}", rf"{over} \div {under}", rf"\frac{{{over}}}{{{under}}} \text{{ cm}}",
        rf"{over}\cdot\frac{{1}}{{{under}}}", rf"{sign}{size // under}\frac{{{size % under}}}{{{under}}}"
        if size > under else f"{over}/{under}", f"{over / under:.9g}", f"{100 * value} \\%",
    ]  # fmt: skip
    return [text.replace("/1 \\%", " \\%") for text in found]


@settings(deadline=None, max_examples=150)
@given(fractions)
def test_a_fraction_equals_itself_in_any_spelling(value):
    for text in spellings(value):
        assert boxed(text, f"{value.numerator}/{value.denominator}") == 1, text


@settings(deadline=None, max_examples=150)
@given(fractions, st.fractions(min_value=-2, max_value=2, max_denominator=99))
def test_a_perturbed_fraction_is_wrong_in_any_spelling(value, by):
    if abs(by) < Fraction(1, 50):
        by = Fraction(1, 7)
    for text in spellings(value + by):
        assert boxed(text, f"{value.numerator}/{value.denominator}") == 0, text


@settings(deadline=None, max_examples=100)
@given(whole)
def test_an_integer_in_full_width_scientific_or_worded_form(n):
    full_width = str(n).translate({ord("0") + i: 0xFF10 + i for i in range(10)})
    digits = str(abs(n))
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    sign = "-" if n < 0 else ""
    scientific = rf"{sign}{mantissa}\times 10^{{{len(digits) - 1}}}"
    for text in (
        full_width,
        scientific,
        f"{n:,}".replace(",", "{,}"),
        f"{n:,}".replace(",", r"\,"),
    ):
        assert boxed(text, str(n)) == 1, text
        assert boxed(text, str(n + 1)) == 0, text
    assert check(f"so the answer is **{n}**.", str(n)).reward == 1
    assert check(f"so the answer is {n} or {n + 1}.", str(n)).reward == 0


@settings(deadline=None, max_examples=100)
@given(st.lists(small, min_size=1, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_lists_and_sets_have_no_order_and_tuples_have(items, draw: random.Random):
    mixed = items[:]
    draw.shuffle(mixed)
    plain, shuffled = ", ".join(map(str, items)), ", ".join(map(str, mixed))
    assert boxed(shuffled, plain) == 1
    assert boxed(rf"\{{{shuffled}\}}", plain) == 1
    if len(items) > 1:
        assert boxed(f"({shuffled})", f"({plain})") == int(items == mixed)
        assert boxed(", ".join(map(str, mixed[1:])), plain) == 0
    assert boxed(f"{shuffled}, 77", plain) == 0


@settings(deadline=None, max_examples=60)
@given(small, small, small)
def test_quadratics_equal_as_functions_and_only_then(a, b, c):
    factored = f"(x+({a}))(x+({b}))+({c})"
    expanded = f"x^2+({a + b})x+({a * b + c})"
    assert boxed(factored, expanded) == boxed(expanded, factored) == 1
    assert boxed(factored, f"x^2+({a + b})x+({a * b + c + 1})") == 0
    assert boxed(factored.replace("x", "y"), expanded) == 0
    assert boxed(f"y = {factored}", f"{expanded} - y = 0") == 1
    assert boxed(f"3y = {expanded}", f"y = {factored}") == 0


@settings(deadline=None, max_examples=60)
@given(small, st.integers(1, 9), st.booleans(), st.booleans())
def test_an_inequality_is_its_interval(low, width, closed_low, closed_high):
    high = low + width
    interval = f"{'[' if closed_low else '('}{low}, {high}{']' if closed_high else ')'}"
    left, right = (r"\le" if closed else "<" for closed in (closed_low, closed_high))
    chain = rf"{low} {left} x {right} {high}"
    assert (
        boxed(chain, interval) == boxed(interval, chain) == boxed(rf"x \in {interval}", chain) == 1
    )
    other = f"{'(' if closed_low else '['}{low}, {high}{']' if closed_high else ')'}"
    assert boxed(other, interval) == boxed(chain, other) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
        (r"\sin(2x)", r"2\sin x\cos x"),
        (r"\log_2 12", r"2+\log_2 3"),
        (r"(3-4i)/5", r"\frac{3}{5}-\frac{4i}{5}"),
        (r"\tan 15^\circ", r"2-\sqrt3"),
        (r"2^{x+3}", r"8\cdot 2^x"),
        (r"\sqrt{5+2\sqrt6}", r"\sqrt2+\sqrt3"),
        (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
        (r"e^{\ln 5}", "5"),
    ],
)
def test_swapping_the_sides_changes_nothing(one, other):
    assert boxed(one, other) == boxed(other, one) == 1
    assert boxed(f"{one}+10^{{-9}}", other) == boxed(other, f"{one}+10^{{-9}}") == 0


def test_several_workers_give_the_verdicts_of_one():
    draw = random.Random(3)
    answers = ["7", r"\sqrt{8}", r"\frac12", "x+1", "(1,2)", "5, 6", "0.5", r"2\sqrt2", "", "8%"]
    pairs = [
        (rf"\boxed{{{draw.choice(answers)}}}", draw.choice(answers) or "7") for _ in range(900)
    ]
    with Checker(workers=2) as two:
        together = two.check_many(iter(pairs))
    alone = [check(*pair) for pair in pairs]
    assert [(v.reward, v.reason, v.extracted) for v in together] == [
        (v.reward, v.reason, v.extracted) for v in alone
    ]
    assert 0 < sum(v.reward for v in alone) < len(alone)


def test_extra_rewards():
    assert format_reward(r"so \boxed{7}") == 1.0
    assert format_reward("so 7") == format_reward(r"\boxed{}") == 0.0
    assert format_reward(r"<think>7?</think> \boxed{7}", think=True) == 1.0
    assert format_reward(r"\boxed{7}", think=True) == 0.0
    assert [length_penalty(n, free=10, limit=20) for n in (5, 15, 99)] == [0.0, -0.5, -1.0]
    assert repetition_penalty("one two three four five") == 0.0
    assert repetition_penalty("a b " * 50) < -0.9
    with pytest.raises(ValueError, match="below"):
        length_penalty(1, free=5, limit=5)
