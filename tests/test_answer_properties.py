"""Properties that would have found what the first checker got wrong."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards import Checker, check, equal

ENTRIES = (
    "-2",
    "3",
    "x",
    "-y",
    r"\frac{1}{2}",
    r"\sqrt{5}",
    "(a+1)",
    "+7",
    r"\pi",
    "0",
    r"-\frac{3}{4}",
    "n^2",
)
UNITS = (
    r"\text{ cm}", r"\text{ m}^2", " km/h", " apples", r"\text{ square feet}", r"\ \mathrm{kg}", " dollars",
    r"\text{ miles per hour}", r"\text{ students}", "", r"\text{ minutes}", r"^\circ",
)  # fmt: skip
LEADS = (
    "",
    r"\text{about }",
    r"\text{exactly }",
    r"x = ",
    r"\text{Area} = ",
    r"\text{Total: }",
    r"\approx ",
)
FONTS = ("{}", r"\mathrm{{{}}}", r"\mathbf{{{}}}", r"\mathit{{{}}}", r"\boldsymbol{{{}}}")
number = st.integers(-(10**6), 10**6).filter(bool)
entries = st.lists(st.sampled_from(ENTRIES), min_size=2, max_size=4, unique=True)


def reward(text: str, gold: str) -> int:
    return check(rf"\boxed{{{text}}}", gold).reward


@settings(deadline=None, max_examples=60)
@given(entries, entries)
def test_a_matrix_equals_itself_and_no_neighbour_whatever_its_rows_begin_with(left, right):
    rows = list(zip(left, right, strict=False))

    def matrix(lines, gap=""):
        body = rf"\\{gap}".join("&".join(line) for line in lines)
        return rf"\begin{{pmatrix}}{body}\end{{pmatrix}}"

    gold = matrix(rows, " ")
    assert reward(matrix(rows), gold) == reward(matrix(rows, "\n"), gold) == 1
    assert reward(matrix(rows[::-1]), gold) == 0
    assert reward(matrix(rows[1:]), gold) == reward(matrix(rows[:-1]), gold) == 0
    assert reward(rows[0][0], gold) == 0
    assert reward(matrix([(*rows[0][:-1], rows[0][-1] + "+1"), *rows[1:]]), gold) == 0


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["sin", "cos", "tan", "ln", "exp"]), st.integers(2, 5), st.integers(1, 40))
def test_a_power_behind_a_bracket_is_one_of_the_function(name, power, tenths):
    value = getattr(math, {"ln": "log"}.get(name, name))(tenths / 10) ** power
    text = rf"\{name}({tenths / 10})^{power}"
    if 1e-3 < abs(value) < 1e6:
        assert reward(f"{value:.8g}", text) == 1
        assert reward(f"{value * 1.001:.8g}", text) == 0
        assert reward(text, rf"\left(\{name} {tenths / 10}\right)^{power}") == 1


@settings(deadline=None, max_examples=120)
@given(number, st.sampled_from(UNITS), st.sampled_from(LEADS))
def test_a_value_with_a_unit_or_word_equals_itself_and_never_its_negation(n, unit, lead):
    for gold in (f"{n}", f"{n}{unit}"):
        assert reward(f"{lead}{n}{unit}", gold) == 1
        assert reward(f"{lead}{-n}{unit}", gold) == 0
        assert reward(f"{lead}{n + 1}{unit}", gold) == 0


@settings(deadline=None, max_examples=60)
@given(
    number.map(abs),
    st.sampled_from(["not", "less than", "more than", "twice", "half of", "negative"]),
)
def test_a_word_that_changes_a_value_never_leaves_it(n, word):
    for text in (f"{word} {n}", rf"\text{{{word} }}{n}", rf"\text{{{word} {n}}}"):
        assert reward(text, str(n)) == 0
        assert check(f"#### {word} {n}", str(n)).reward == 0
        assert check(f"The answer is {word} {n}.", str(n)).reward == 0
        assert check(f"So it is {word} {n}", str(n)).reward == 0


PIECES = ("|x-{}|", r"\max(x,{})", r"\min(x,{})", r"\sqrt{{(x-{})^2}}")


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(PIECES), st.integers(-300, 300).filter(bool))
def test_functions_that_agree_on_one_side_only_are_not_equal(piece, at):
    text = piece.format(f"({at})")
    assert reward(text, text.replace("x", "{x}")) == 1
    for side in (f"x-({at})", f"({at})-x", "x", str(at)):
        assert reward(side, text) == reward(text, side) == 0


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([
    (r"\ln\frac{a}{b}", r"\ln a-\ln b", r"\ln b-\ln a"), (r"\log a^3", r"3\log a", r"\log 3a"),
    (r"\sqrt{\frac{a}{b}}", r"\frac{\sqrt{a}}{\sqrt{b}}", r"\frac{\sqrt{b}}{\sqrt{a}}"),
    (r"(a+b)^2", r"a^2+2a\,b+b^2", "a^2+b^2"), (r"a\,2^{b}", r"2^b a", "2a^b"), (r"\frac{a-b}{2}", r"\frac{1}{2}a-\frac{b}{2}", r"\frac{b-a}{2}"),
]), st.permutations("abcmnpqrstuvwxyz"))  # fmt: skip
def test_the_verdict_does_not_depend_on_the_letters(case, letters):
    import re

    names = dict(zip("ab", letters, strict=False))
    one, same, other = (
        re.sub(r"(?<![a-zA-Z\\])[ab](?![a-zA-Z])", lambda m: names[m[0]], x) for x in case
    )
    assert reward(one, same) == reward(same, one) == 1
    assert reward(one, other) == 0


@settings(deadline=None, max_examples=80)
@given(st.sampled_from("abcdhkmnpqrstuvwxyzR"), st.sampled_from(FONTS), st.integers(2, 99))
def test_a_letter_in_any_font_is_that_letter_and_no_unit(letter, font, n):
    text = f"{n}{font.format(letter)}"
    if not (r"\mathrm" in font and letter in "mshg"):  # 5 m in upright type is a length
        assert reward(text, f"{n}{letter}") == 1
        assert reward(text, str(n)) == 0
    assert reward(str(n), f"{n}{font.format('a')}") == 0


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([
    r"\frac{3}{7}", "1,250", r"2\sqrt{3}", "(1,-2)", r"\{1,2\}", "x^2+1", r"24\pi", "-3", "0.125", r"25\%",
]), st.randoms(use_true_random=False))  # fmt: skip
def test_a_box_dollars_or_spaces_change_nothing(gold, draw: random.Random):
    spaced = gold.replace(",", r",\,") if gold.startswith(("(", r"\{")) else f" {gold}~"
    wrong = r"\frac{4}{7}" if gold != r"\frac{4}{7}" else "9"
    for text in (rf"so \boxed{{{gold}}}.", f"The answer is ${gold}$.", f"#### {gold}", f"Thus ${gold}$",
                 rf"\boxed{{{spaced}}}", rf"$$\boxed{{{gold}}}$$", f"<answer>{gold}</answer>", gold):  # fmt: skip
        assert check(text, gold).reward == check(text, f"${gold}$").reward == 1, text
        assert check(text, wrong).reward == 0, text


SCALES = (
    ("m", "cm", 100), ("km", "m", 1000), ("hours", "minutes", 60), ("minutes", "seconds", 60),
    ("dollars", "cents", 100), ("kg", "g", 1000), ("feet", "inches", 12), ("weeks", "days", 7),
    ("L", "mL", 1000), ("years", "months", 12), ("gallons", "quarts", 4), ("MB", "KB", 1000),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SCALES), st.integers(2, 400), st.integers(1, 11))
def test_a_quantity_is_itself_in_another_unit_and_never_the_number_of_another(scale, n, rest):
    larger, smaller, factor = scale
    assert reward(rf"{n * factor}\text{{ {smaller}}}", rf"{n}\text{{ {larger}}}") == 1
    assert reward(rf"{n}\text{{ {smaller}}}", rf"{n}\text{{ {larger}}}") == 0
    assert check(f"So it is {n} {smaller}.", rf"{n}\text{{ {larger}}}").reward == 0
    if rest < factor:
        both = f"{n} {larger} and {rest} {smaller}"
        for gold in (f"{n * factor + rest}", rf"{n * factor + rest}\text{{ {smaller}}}"):
            assert reward(both, gold) == check(f"So it takes {both}", gold).reward == 1
        assert reward(both, str(n)) == check(f"So it takes {both}", str(rest)).reward == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-9, 9).filter(bool), min_size=2, max_size=3), st.sampled_from(
    (r"\mathbf{{{}}}", r"\hat{{{}}}", r"\vec{{{}}}", r"\hat{{\mathbf{{{}}}}}", "{}")
))  # fmt: skip
def test_a_vector_is_the_same_in_unit_vectors_as_a_column_and_as_a_tuple(parts, font):
    text = "+".join(f"({n}){font.format(x)}" for n, x in zip(parts, "ijk", strict=False))
    tuple_ = f"({','.join(map(str, parts))})"
    column = r"\begin{pmatrix}" + r"\\".join(map(str, parts)) + r"\end{pmatrix}"
    assert reward(text, tuple_) == reward(text, column) == reward(tuple_, text) == 1
    if parts != parts[::-1]:
        assert reward(text, f"({','.join(map(str, parts[::-1]))})") == 0
    assert reward(text, str(parts[0])) == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 9), st.sampled_from("abhknpqxyz"), st.integers(11, 99))
def test_a_number_that_an_unsolved_equation_ends_with_is_no_answer(k, name, n):
    for equation in (
        f"{k}{name} = {n}",
        f"{name} + {k} = {n}",
        f"{name}^{k} = {n}",
        f"{name}/{k} = {n}",
    ):
        assert check(f"Then {equation}", str(n)).reward == 0
        assert check(f"Then ${equation}$.", str(n)).reward == 0
        assert reward(equation, str(n)) == 0
    assert check(f"Then {name} = {n}", str(n)).reward == 1
    assert check(f"As {name} = {n / k}, we have {k}{name} = {n}", str(n)).reward == 1


AROUND = (  # what stands before and behind a box, and the answer that it is part of
    ("x > ", "", "x > {}"), ("x \\le ", "", "x \\le {}"), ("3 < x < ", "", "(3,{})"), ("", " < y", "y > {}"),
    ("n \\ne ", "", "n \\ne {}"), ("x = \\pm ", "", "\\pm {}"), ("x = -", "", "-{}"), ("2 \\cdot ", "", "2\\cdot {}"),
    ("\\sqrt{", "}", "\\sqrt{{{}}}"), ("\\frac{1}{", "}", "\\frac1{{{}}}"), ("2^{", "}", "2^{{{}}}"), ("", "^2", "{}^2"),
    ("", " + 3i", "{}+3i"), ("(1, ", ")", "(1,{})"), ("\\ln ", "", "\\ln {}"), ("x = 7 - ", "", "7-{}"), ("3 : ", "", "3:{}"),
)  # fmt: skip
BESIDE = ("{}", "x = {}", "x \\approx {}", "\\Rightarrow {}", "\\text{{Area}} = {}", "2 + 3 = {}", "({})", "\\therefore x = {}",
          "\\mathbf{{{}}}", "y > 2, x = {}", "2 \\times {} = 10", "x={}.", "\\quad {} \\quad", "= {} \\text{{ cm}}")  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(AROUND), st.sampled_from(BESIDE), st.integers(4, 60))
def test_a_box_counts_with_the_sign_relation_or_root_that_it_is_part_of(around, beside, n):
    before, behind, whole = around
    needs_dollars = before.startswith(("(", "3 :", "x = 7")) or "i" in behind
    for left, right in (("$", "$"), (r"\(", r"\)"), *([] if needs_dollars else [("So ", ".")])):
        text = rf"{left}{before}\boxed{{{n}}}{behind}{right}"
        assert check(text, str(n)).reward == 0, text
        assert check(text, whole.format(n)).reward == 1, text
    box = rf"\boxed{{{n}}}"
    text = f"${beside.format(box)}$"
    assert check(text, str(n)).reward == 1, text
    assert check(text, str(n + 1)).reward == 0, text


@settings(deadline=None, max_examples=60)
@given(st.integers(-4, 4), st.integers(0, 9), st.integers(-3, 3), st.integers(0, 3))
def test_a_finite_sum_or_product_is_its_value_and_no_neighbour(low, steps, shift, power):
    places = range(low, low + steps + 1)
    for name, value in (
        ("sum", sum((i + shift) ** power for i in places)),
        ("prod", math.prod((i + shift) ** power for i in places)),
    ):
        text = rf"\{name}_{{i={low}}}^{{{low + steps}}} (i+({shift}))^{power}"
        assert reward(text, str(value)) == reward(f"{text} = {value}", str(value)) == 1
        assert reward(text, str(value + 1)) == reward(f"{text} = {value + 1}", str(value + 1)) == 0
        assert reward(text, text.replace("i", "k")) == 1 if name == "sum" else True


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-9, 9), min_size=9, max_size=9))
def test_a_determinant_is_its_value_and_no_neighbour(entries):
    a, b, c, d, e, f, g, h, i = entries
    value = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    body = rf"{a}&{b}&{c}\\{d}&{e}&{f}\\{g}&{h}&{i}"
    for text in (rf"\begin{{vmatrix}}{body}\end{{vmatrix}}",
                 rf"\det\begin{{pmatrix}}{body}\end{{pmatrix}}"):  # fmt: skip
        assert reward(text, str(value)) == reward(f"{text} = {value}", str(value)) == 1
        assert reward(text, str(value + 1)) == reward(f"{text} = {value + 1}", str(value + 1)) == 0


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["x^2", r"\sin x", r"\ln|t|", r"\frac{y^3}{3}"]),
    st.sampled_from(["C", "c", "K", "k", "C_1"]),
    st.sampled_from("+-"),
)
def test_a_constant_of_integration_has_any_name_and_must_be_there(primitive, name, sign):
    assert reward(f"{primitive} {sign} {name}", f"{primitive} + C") == 1
    for wrong in (primitive, f"{primitive} + 1", f"2{primitive} + {name}", f"{name} {primitive}"):
        assert reward(wrong, f"{primitive} + C") == 0


def test_a_thought_without_end_earns_nothing_nor_does_a_cut_number():
    assert check(r"<think> it is \boxed{5}", "5").reward == 0
    assert check("so it is 5", "5").reward == 1
    assert check("so it is 5", "5", truncated=True).reward == 0
    assert check("The answer is 5", "5", truncated=True).reward == 0
    assert check(r"\boxed{5} and then", "5", truncated=True).reward == 1
    with Checker(workers=2) as two:
        pairs = [("so it is 5", "5", True), ("so it is 5", "5", False), ("so it is 5", "5")]
        assert [v.reward for v in two.check_many(pairs)] == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "rule"),
    [(r"\boxed{5}", "boxed"), ("#### 5", "hashes"), ("The answer is 5.", "phrase"), ("5", "unmarked"),
     ("<answer>5</answer>", "tag"), ("none", "unmarked"), ("<think>5", "unfinished thought")],
)  # fmt: skip
def test_the_rule_names_the_mark(text, rule):
    assert check(text, "5").rule == rule


def test_equal_answers_are_seen_cheaply():
    assert equal("1/2", "0.5")
    assert equal(r"\frac{x+1}{2}", "x/2+1/2")
    assert not equal("5", "6")
    assert not equal("", "5")
