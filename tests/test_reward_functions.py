"""Reward functions: found by name, module or file, run with a limit, their failures named."""

import time

import pytest

from common.errors import UserError
from data import Problem
from rewards.functions import load_function
from rewards.workers.functions import FunctionRunner

PROBLEM = Problem(id="1", question="2+3?", answer="5")
SOURCE = """
import time
def short(completion, problem, **context):
    print("printed")
    return 1.0 if len(completion) < 5 and problem.answer == "5" else 0
def with_tokens(completion, problem, tokens):
    return -tokens / 10
def best(completions, problem, tokens):
    return [float(count == min(tokens)) for count in tokens]
def raises(completion, problem): raise KeyError("level")
def hangs(completion, problem):
    while True: pass
def not_a_number(completion, problem): return float("nan")
def text(completion, problem): return "good"
def nothing(completion, problem): pass
def too_few(completions, problem): return [1.0]
def exits(completion, problem): raise SystemExit
def wrong(a, b): return 1.0
constant = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def score(path, completions=("one", "another"), timeout=10.0):
    runner = FunctionRunner(str(path), timeout)
    contexts = [{"tokens": len(text), "max_tokens": 10} for text in completions]
    try:
        return runner.score(completions, PROBLEM, contexts)
    finally:
        runner.close()


def test_a_function_of_a_file_gets_the_problem_and_the_context_it_asks_for(file):
    assert score(f"{file}:short") == [1.0, 0.0]
    assert score(f"{file}:with_tokens") == [-0.3, -0.7]


def test_a_group_function_is_called_once_with_all_completions(file):
    assert load_function(f"{file}:best").is_group
    assert score(f"{file}:best") == [1.0, 0.0]


def test_the_short_names():
    assert score("correct", (r"\boxed{5}", r"\boxed{6}")) == [1.0, 0.0]
    assert score("format", (r"\boxed{5}", "5")) == [1.0, 0.0]
    assert score("length", ("12345678", "123456789", "1" * 99)) == [0.0, -0.5, -1.0]
    assert score("repetition", ("a b c d e", "a b " * 50))[0] == 0.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "raised KeyError: 'level'"), ("not_a_number", "returned nan"),
        ("text", "'good', which is no number"), ("nothing", "no number"),
        ("too_few", "1 rewards for 2 completions"), ("exits", "raised SystemExit"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_that_names_the_function(file, name, said):
    with pytest.raises(UserError, match=name) as caught:
        score(f"{file}:{name}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_that_hangs_is_killed_and_the_next_call_works(file):
    runner = FunctionRunner(f"{file}:hangs", timeout=0.5)
    begun = time.perf_counter()
    with pytest.raises(UserError, match=r"hangs.*0\.5 s"):
        runner.score(["a"], PROBLEM, [{}])
    assert time.perf_counter() - begun < 20
    assert score(f"{file}:short", ("a",)) == [1.0]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("corect", "did you mean 'correct'"), ("no.such.module:f", "cannot be imported"),
        ("missing.py:f", "there is no file 'missing.py'"), ("data.load:nothing", "no function"),
        ("json:dumps", "first parameters"), (":f", "give correct"), ("json:", "give correct"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_said_in_one_line(path, said):
    with pytest.raises(UserError, match="reward function") as caught:
        load_function(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parameters_with_other_names_are_refused(file):
    with pytest.raises(UserError, match="completion, problem"):
        load_function(f"{file}:wrong")
    with pytest.raises(UserError, match="no function 'constant'"):
        load_function(f"{file}:constant")
