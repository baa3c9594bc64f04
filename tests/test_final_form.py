"""The form of an answer: worked out where the gold is, and no copy of the question."""

import pytest

from rewards import Checker, check, is_echo


def reward(text: str, gold: str) -> int:
    return check(rf"\boxed{{{text}}}", gold).reward


FINAL = [  # answer, gold, reward in final form
    ("2+3", "5", 0), ("5", "5", 1), (r"\frac{10}{2}", "5", 1), ("2^{10}", "1024", 0), ("2^{10}", "2^{10}", 1),
    (r"2\sqrt3", r"\sqrt{12}", 1), (r"\sqrt{12}", r"2\sqrt3", 0), (r"\sqrt{16}", "4", 0), (r"3\pi", r"3\pi", 1),
    (r"\sin 30^\circ", r"\frac12", 0), ("5!", "120", 0), (r"\binom52", "10", 0), ("1+2i", "2i+1", 1), ("(1+i)^2", "2i", 0),
    (r"441_{10}", "1200_7", 0), ("1200_7", "1200_7", 1), ("441", "1200_7", 0), ("7x^2-63", "7(x+3)(x-3)", 0),
    ("7(x-3)(x+3)", "7(x+3)(x-3)", 1), ("(x+1)^2", "x^2+2x+1", 0), ("1+2x+x^2", "x^2+2x+1", 1), ("x+x", "2x", 0),
    ("(3x+2)+(x-5)", "4x-3", 0), ("4x-3", "4x-3", 1), ("|x-1|<3", "(-2,4)", 0), ("-2<x<4", "(-2,4)", 1),
    ("x=5", "5", 1), ("2+3=5", "5", 1), (r"5\text{ cm}", "5", 1), ("(2+1,4)", "(3,4)", 0), ("(3,4)", "(3,4)", 1),
    (r"1\frac12", r"\frac32", 1), ("0.5", r"\frac12", 1), (r"\frac{1+\sqrt5}{2}", r"\frac{1+\sqrt5}2", 1), (r"3\times10^8", "300000000", 1),
    (r"\{1+1,3\}", r"\{2,3\}", 0), (r"1\pm\sqrt{19}", r"1\pm\sqrt{19}", 1), (r"\frac{\sec x}{\sin x}-\frac{\sin x}{\cos x}", r"\cot x", 0),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold", "final"), FINAL)
def test_final_form_wants_the_answer_worked_out(answer, gold, final):
    with Checker(form="final") as checker:
        assert reward(answer, gold) == 1
        assert checker.check(rf"\boxed{{{answer}}}", gold).reward == final


def test_an_answer_that_repeats_a_formula_of_the_question_is_an_echo():
    question = r"Simplify $(3x+2) + (x-5)$. Here $y = \frac{x+1}{2}$ and $n = 12$."
    assert is_echo("(3x + 2)+(x-5)", question)
    assert is_echo(r"\dfrac{x+1}{2}", question)
    assert not is_echo("4x-3", question)
    assert not is_echo("12", question)
    assert not is_echo(None, question)
