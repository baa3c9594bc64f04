"""The checker rewards the right answer in any usual form, no other, and always comes back."""

import itertools
import json
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import synthesize
from rewards import Checker, check
from rewards.extract import extract
from tests.fork_server import command
from tests.test_hostile import SLOW

RIGHT = [
    (r"so \boxed{0.5}", r"\frac12"),
    (r"\fbox{7}", "7"),
    (r"first \boxed{3}, no: \boxed{4}", "4"),
    (r"<think>\boxed{9}</think> The answer is 8.", "8"),
    (r"<think>#### 9</think>#### 8", "8"),
    ("The answer is $1,250.", "1250"),
    ("**Final Answer:** 42 apples", "42"),
    ("答案是 5。", "5"),
    ("#### -3", "-3"),
    ("It costs 3 + 4 = 7 dollars.", "7"),
    (r"\boxed{\$6}", "6"),
    (r"\boxed{90^\circ}", "90"),
    (r"\boxed{90°}", "90"),
    (r"\boxed{1\frac{1}{2}}", "3/2"),
    (r"\boxed{1{,}250}", "1250"),
    (r"\boxed{25\%}", r"25\%"),
    (r"\boxed{0.25}", r"25\%"),
    (r"\boxed{25}", r"25\%"),
    ("18%", "18"),
    (r"\boxed{x=5}", "5"),
    (r"\boxed{\text{East}}", "east"),
    (r"\boxed{\frac{\sqrt{3}}{2}}", r"\frac{1}{2}\sqrt{3}"),
    (r"\boxed{(x+1)^2}", "x^2+2x+1"),
    (r"\boxed{(3, \frac{\pi}{2})}", r"\left( 3, \frac{\pi}{2} \right)"),
    ("0.333333", r"\frac13"),
    (r"\boxed{\frac{1}{2}} = \boxed{0.5}", "0.5"),
    ("1e3", "1000"),
]
WRONG = [
    (r"\boxed{}", "5"),
    ("", "5"),
    (r"\boxed{5} and \boxed{6}", "5"),
    ("The answer is 5 or 6.", "5"),
    (r"\boxed{1+1/e}", "1-1/e"),
    ("0.33", r"\frac13"),
    ("18%", "1.8"),
    (r"\boxed{(1,2)}", "(2,1)"),
    (r"\boxed{[1,2)}", "(1,2)"),
    (r"\boxed{12", "12"),
    ("I do not know", "5"),
    (r"\boxed{12345678901234567891}", "12345678901234567890"),
]


@pytest.fixture(scope="module")
def checker():
    with Checker() as one:
        yield one


@pytest.mark.parametrize(("completion", "gold"), RIGHT)
def test_right_answers_are_rewarded(checker, completion, gold):
    assert checker.check(completion, gold).reward == 1


@pytest.mark.parametrize(("completion", "gold"), WRONG)
def test_wrong_answers_are_not(checker, completion, gold):
    assert checker.check(completion, gold).reward == 0


def test_strict_extraction_wants_the_answer_marked():
    assert extract("so 7", strict=True).text is None
    assert extract("so 7").text == "7"


@given(st.integers(-(10**12), 10**12))
def test_an_integer_equals_itself_in_any_spelling_and_never_its_neighbour(n):
    for spelling in (f"{n}", f"{n:,}", f"${n}$", f"{n}.0", f"{n} apples", rf"\frac{{{n}}}{{1}}"):
        assert check(rf"\boxed{{{spelling}}}", str(n)).reward == 1, spelling
        assert check(rf"\boxed{{{spelling}}}", str(n + 1)).reward == 0, spelling


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=200))
def test_any_text_gets_a_verdict(text):
    assert check(text, "7").reward in (0, 1)
    assert check(rf"\boxed{{{text}}}", r"\frac{7}{3}").seconds < 5


HOSTILE = [
    r"\boxed{9^{9^{9^{9^{9}}}}}",
    r"\boxed{2^{2^{2^{2^{2^{2^{2^{x}}}}}}}}",
    r"\boxed{100000!!!!}",
    r"\boxed{" + "9" * 1_000_000 + "}",
    r"\boxed{" + "{" * 50_000 + "}" * 50_000 + "}",
    r"\boxed{" + "(" * 5_000 + "1" + ")" * 5_000 + "}",
    r"\boxed" * 20_000,
    "-" * 100_000,
    "1," * 100_000,
    "$" * 100_001,
    r"\boxed{__import__('os').system('touch /tmp/owned')}",
    "\\boxed{1\x00}",
    r"\boxed{x^{199}(x+1)^{199}(x+2)^{199}}",
    r"\boxed{\sin(\sin(\sin(\sin(x^{99}+y^{99}))))^{99}}",
    "the answer " * 50_000,
    r"\frac" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_answers_come_back_wrong_in_time(checker, text):
    begun = time.perf_counter()
    assert checker.check(text, "x^2+1").reward == 0
    assert time.perf_counter() - begun < 2 * checker.timeout + 2  # the start of a worker


def test_a_stuck_comparison_times_out_in_any_thread_and_the_next_one_works():
    verdicts = {}
    with Checker(workers=2, timeout=0.01) as hasty:

        def run(number):
            verdicts[number] = hasty.check(*SLOW)

        threads = [threading.Thread(target=run, args=[i]) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [verdicts[i].reason for i in range(3)] == ["boxed: timeout"] * 3
        hasty.timeout = 10.0
        assert hasty.check(r"\boxed{\sqrt{8}}", r"2\sqrt{2}").reward == 1


def test_many_equals_one_by_one_in_any_order(checker):
    pairs = [(c, g) for c, g in RIGHT + WRONG]
    with Checker(workers=2) as two:
        together = [v.reward for v in two.check_many(pairs)]
        backwards = [v.reward for v in two.check_many(pairs[::-1])]
    assert together == backwards[::-1] == [1] * len(RIGHT) + [0] * len(WRONG)


def test_worked_solutions_get_their_own_gold_and_no_other():
    problems = synthesize(500, seed=8)
    for problem, other in itertools.pairwise(problems):
        assert check(problem.solution, problem.answer).reward == 1
        same = problem.answer == other.answer
        assert check(problem.solution, other.answer).reward == int(same)


def test_the_command_writes_a_verdict_for_each_line_in_order(tmp_path):
    cases = [{"completion": c, "gold": g} for c, g in RIGHT[:5] + WRONG[:5]]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(case) + "\n" for case in cases))
    done = command("rewards", "--in", source, "--out", out)
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in out.read_text().splitlines()]
    assert [v["reward"] for v in verdicts] == [1] * 5 + [0] * 5
    assert all(set(v) == {"reward", "extracted", "reason", "seconds"} for v in verdicts)
    source.write_text('{"gold": "1"}\n')
    done = command("rewards", "--in", source, "--out", tmp_path / "none.jsonl")
    assert done.returncode != 0
    assert "line 1" in done.stderr
    assert not (tmp_path / "none.jsonl").exists()


def test_the_command_prints_one_verdict_as_json():
    done = command("rewards", "--gold", r"\frac12", "--completion", r"so \boxed{0.5}")
    assert json.loads(done.stdout)["reward"] == 1
