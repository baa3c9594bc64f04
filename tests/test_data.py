"""Problems come in from any known shape, and synthetic ones are right and never leak."""

import gzip
import json
import re

import pandas
import pytest

from common.errors import UserError
from data import load_problems, synthesize, write_problems
from data.stories import TEMPLATES

GSM8K = {"question": "How many?", "answer": "2 and 3 is <<2+3=5>>5.\n#### 5"}
MATH = {"problem": "Half?", "solution": r"It is $\boxed{\frac{1}{2}}$.", "level": "Level 1"}
SVAMP = {"Body": "Ann has 2.", "Question": "How many?", "Answer": 2.0, "Type": "Addition"}
OURS = {"id": "a", "question": "1+1?", "answer": "2"}


def write_lines(path, records):
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["set.jsonl", "set.jsonl.gz"])
def test_every_shape_is_recognised_by_its_fields(tmp_path, name):
    problems = load_problems(write_lines(tmp_path / name, [GSM8K, MATH, SVAMP, OURS]))
    assert [p.answer for p in problems] == ["5", r"\frac{1}{2}", "2", "2"]
    assert [p.source for p in problems] == ["gsm8k", "math", "svamp", None]
    assert problems[0].solution == GSM8K["answer"]
    assert problems[2].question == "Ann has 2. How many?"


def test_parquet_loads_like_json_lines(tmp_path):
    pandas.DataFrame([GSM8K, GSM8K]).to_parquet(tmp_path / "set.parquet")
    assert [p.answer for p in load_problems(tmp_path / "set.parquet")] == ["5", "5"]


def test_line_separators_inside_a_question_do_not_end_the_line(tmp_path):
    record = {"question": "One\u2028two\u0085three?", "answer": "3"}
    (tmp_path / "a.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n")
    assert len(load_problems(tmp_path / "a.jsonl")) == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{broken", "line 2: not valid JSON"),
        ('{"question": "a"}', "line 2: no known shape"),
        ('{"question": "a", "answer": ""}', "line 2: the gold answer is missing"),
        ("[1]", "line 2: expected a JSON object"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path, line, says):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(OURS) + "\n" + line + "\n")
    with pytest.raises(UserError, match=re.escape(str(path))) as caught:
        load_problems(path)
    assert says in str(caught.value)


def test_written_problems_load_the_same(tmp_path):
    problems = synthesize(40, seed=3)
    write_problems(tmp_path / "p.jsonl", problems)
    assert load_problems(tmp_path / "p.jsonl") == problems


def test_there_are_at_least_twelve_stories_of_one_to_four_steps():
    assert sum(map(len, TEMPLATES.values())) >= 12
    assert set(TEMPLATES) == {1, 2, 3, 4}


def test_every_step_of_a_synthetic_solution_is_right_whole_and_not_negative():
    for problem in synthesize(2000, seed=1):
        steps = re.findall(r"(\d+)([-+*/])(\d+)=(\d+)", problem.solution)
        assert len(steps) == int(problem.level)
        for left, operator, right, result in steps:
            a, b, c = int(left), int(right), int(result)
            expected = {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": a == b * c}
            assert expected[operator], problem.solution
        assert problem.solution.endswith(f"#### {problem.answer}")
        assert steps[-1][3] == problem.answer


def test_train_and_heldout_share_no_question_nor_story_with_the_same_numbers():
    train = {p.question for s in range(3) for p in synthesize(4000, seed=s)}
    heldout = synthesize(1000, seed=9, split="heldout")
    assert len({p.question for p in heldout}) == 1000

    def without_names(text):
        return re.sub(r"\b[A-Z][a-z]+\b|\b[a-z]+s\b", "_", text)

    seen = {without_names(q) for q in train}
    assert not [p for p in heldout if without_names(p.question) in seen]


def test_the_same_seed_gives_the_same_problems_and_another_seed_others():
    assert synthesize(50, seed=5) == synthesize(50, seed=5)
    assert synthesize(50, seed=5) != synthesize(50, seed=6)


def test_slips_change_solutions_but_never_the_gold():
    clean = {p.question: p.answer for p in synthesize(3000, seed=2)}
    slipped = synthesize(3000, seed=2, slip_rate=0.5)
    wrong = [p for p in slipped if not p.solution.endswith(f"#### {p.answer}")]
    assert 0.3 < len(wrong) / len(slipped) < 0.6
    assert clean
    for problem in synthesize(200, seed=2, slip_rate=1.0):
        assert int(problem.answer) >= 0
