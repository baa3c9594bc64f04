"""The shapes of current data sets load as they are; what cannot be read is refused in one line."""

import codecs
import json
import math

import pandas
import pytest

from common.errors import UserError
from data import load_problems, write_problems
from data.golds import boxed_answer, read_gold
from rewards import check
from tests.fork_server import command

# Rows made by hand in the shape of each set: the columns are theirs, the contents ours.
SETS = {
    "Big-Math": ({"problem": "2+3?", "answer": "5", "source": "orca_math", "domain": ["Arithmetic"], "llama8b_solve_rate": 0.5}, "2+3?", "5"),
    "DeepMath": ({"question": "2+3?", "final_answer": "5", "difficulty": 5.0, "topic": "Arithmetic", "r1_solution_1": r"so \boxed{5}"}, "2+3?", "5"),
    "AIME 2024": ({"ID": "2024-I-1", "Problem": "2+3?", "Solution": r"it is \boxed{005}", "Answer": 5}, "2+3?", "5"),
    "AIME 2025": ({"problem": "2+3?", "answer": "5", "id": "0"}, "2+3?", "5"),
    "DAPO-Math": ({"data_source": "math_dapo", "prompt": [{"role": "user", "content": "Solve: 2+3?"}], "ability": "MATH", "reward_model": {"ground_truth": "5", "style": "rule"}, "extra_info": {"index": "9a9b"}}, "Solve: 2+3?", "5"),
    "NuminaMath-1.5": ({"problem": "2+3?", "solution": "It is 5.", "answer": "5", "problem_type": "Algebra", "question_type": "math-word-problem", "source": "olympiads", "problem_is_valid": "Yes", "synthetic": False}, "2+3?", "5"),
    "OpenR1-Math": ({"problem": "2+3?", "solution": "It is 5.", "answer": "5", "uuid": "u-1", "generations": ["<think>", "a"], "messages": [{"role": "user", "content": "2+3?"}, {"role": "assistant", "content": "5"}]}, "2+3?", "5"),
    "DeepScaleR": ({"problem": "2+3?", "answer": "5", "solution": ""}, "2+3?", "5"),
    "Minerva": ({"problem": "2+3?", "solution": r"so $\boxed{5}$", "type": "Physics", "idx": 3}, "2+3?", "5"),
    "OlympiadBench": ({"id": 1606, "question": "2+3?", "solution": ["It is 5."], "final_answer": ["5"], "is_multiple_answer": False, "unit": None, "error": None}, "2+3?", "5"),
    "SVAMP": ({"ID": "chal-1", "Body": "Ann has 2 and gets 3.", "Question": "How many?", "Equation": "( 2.0 + 3.0 )", "Answer": 5.0, "Type": "Addition"}, "Ann has 2 and gets 3. How many?", "5"),
    "GSM8K": ({"question": "2+3?", "answer": "2+3 = <<2+3=5>>5.\n#### 5"}, "2+3?", "5"),
    "MATH": ({"problem": "2+3?", "level": "Level 1", "type": "Algebra", "solution": r"so $\boxed{5}$."}, "2+3?", "5"),
}  # fmt: skip


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("name", SETS)
def test_the_shape_of_a_current_set_is_recognised(name, tmp_path):
    record, question, gold = SETS[name]
    (problem,) = load_problems(write(tmp_path / "set.jsonl", record))
    assert (problem.question, problem.answer) == (question, gold)
    assert (problem.messages is not None) == (name == "DAPO-Math")
    if problem.solution:
        assert check(problem.solution, problem.answer).reward == 1
    (again,) = load_problems(_written(tmp_path, [problem]))
    assert again == problem


def _written(folder, problems):
    write_problems(folder / "written.jsonl", problems)
    return folder / "written.jsonl"


@pytest.mark.parametrize("name", SETS)
def test_the_same_shape_from_parquet(name, tmp_path):
    record, question, gold = SETS[name]
    pandas.DataFrame([record]).to_parquet(tmp_path / "set.parquet")
    (problem,) = load_problems(tmp_path / "set.parquet")
    assert (problem.question, problem.answer) == (question, gold)


def test_fields_name_any_columns_dotted_ones_too(tmp_path):
    path = write(tmp_path / "a.jsonl", {"q": "2+3?", "meta": {"gold": {"text": 5}}, "nr": 7})
    (problem,) = load_problems(path, fields={"question": "q", "answer": "meta.gold", "id": "nr"})
    assert (problem.id, problem.question, problem.answer) == ("7", "2+3?", "5")


def test_rows_are_left_out_by_a_fields_value_and_sentinel_golds_are_warned_of(tmp_path, capsys):
    rows = [
        {"problem": f"p{i}", "answer": a} for i, a in enumerate(["5", "proof", None, "notfound"])
    ]
    path = write(tmp_path / "n.jsonl", *rows)
    kept = load_problems(path, leave_out={"answer": ["proof", "notfound", None]})
    assert [(p.id, p.answer) for p in kept] == [("0", "5")]
    assert not capsys.readouterr().err
    assert len(load_problems(path, leave_out={"answer": [None]})) == 3
    assert "2 of 3 golds" in capsys.readouterr().err


def test_ids_are_unique_and_null_ones_are_the_rows_place_in_the_file(tmp_path):
    rows = [
        {"id": i, "question": f"q{n}", "answer": "1"}
        for n, i in enumerate(["a", "a", None, "a#2", "a"])
    ]
    ids = [p.id for p in load_problems(write(tmp_path / "ids.jsonl", *rows))]
    assert ids == ["a", "a#2", "2", "a#2#2", "a#3"]


@pytest.mark.parametrize(
    ("value", "gold"),
    [(["3"], "3"), ('["3"]', "3"), ({"value": 3}, "3"), (b"3", "3"), (3.0, "3"), (2.5, "2.5"), ([1.0], "1"), ("[1, 2]", "[1, 2]"), ({"ground_truth": "7", "style": "rule"}, "7"), (["4", 4], "4")],
)  # fmt: skip
def test_a_clear_gold_is_read(value, gold):
    assert read_gold(value) == gold


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, [], None, "", ["1", "2"], {"a": 1, "b": 2}, b"\xff\xfe\x00", object(), {}, [math.nan]],
)  # fmt: skip
def test_an_unclear_gold_is_refused(value):
    with pytest.raises(ValueError, match="gold answer"):
        read_gold(value)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        (r"so \boxed 2.", "2"),
        (r"so $\fbox{2}$", "2"),
        (r"first \boxed{2} and later, finally \boxed 3", "3"),
        (r"$x = \boxed{1}$ or $x = \boxed{2}$", "1, 2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{never closed", None),
        ("no box", None),
    ],
)
def test_the_gold_is_what_the_last_box_holds(text, gold):
    assert boxed_answer(text) == gold
    if gold:
        assert check(text, gold).reward == 1


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
def test_a_byte_order_mark_is_passed_over(kind, tmp_path):
    row = {"question": "2+3?", "answer": "5"}
    text = {
        "jsonl": json.dumps(row) + "\n",
        "json": json.dumps([row]),
        "csv": "question,answer\n2+3?,5\n",
    }
    path = tmp_path / f"set.{kind}"
    path.write_bytes(codecs.BOM_UTF8 + text[kind].encode())
    assert [p.answer for p in load_problems(path)] == ["5"]


def test_json_arrays_and_folders_of_shards_are_read(tmp_path):
    row = {"question": "2+3?", "answer": "5"}
    (tmp_path / "list.json").write_text(json.dumps({"data": [row, row]}, indent=1))
    assert len(load_problems(tmp_path / "list.json")) == 2
    (tmp_path / "set").mkdir()
    for shard in range(2):
        write(tmp_path / "set" / f"train-0000{shard}-of-00002.jsonl", row)
    assert len(load_problems(tmp_path / "set")) == 2
    write(tmp_path / "set" / "test.jsonl", row)
    assert len(load_problems(f"{tmp_path / 'set'}@test")) == 1
    with pytest.raises(UserError, match="several sets"):
        load_problems(tmp_path / "set")


def test_a_hub_name_with_a_dot_is_no_file_and_a_folder_does_not_hide_a_short_name(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "gsm8k").mkdir()
    write(tmp_path / "gsm8k" / "a.jsonl", {"question": "2+3?", "answer": "5"})
    asked = []
    monkeypatch.setattr(
        "datasets.load_dataset", lambda *a, **k: asked.append(a[0]) or [SETS["GSM8K"][0]]
    )
    assert len(load_problems("AI-MO/NuminaMath-1.5")) == 1
    assert len(load_problems("gsm8k")) == 1
    assert asked == ["AI-MO/NuminaMath-1.5", "openai/gsm8k"]
    assert [p.source for p in load_problems("./gsm8k")] == [None]
    assert len(asked) == 2


ROW = '{"question": "2+3?", "answer": "5"}\n'
BAD = [  # name, content, further words, what the line says
    ("a.jsonl", '{"q": "2+3?", "a": "5"}\n', (), "no question and no answer"),
    ("a.jsonl", '{"question": "a", "answer": ["1", "2"]}\n', (), "list of 2"),
    ("a.jsonl", '{"question": "a", "answer": NaN}\n', (), "nan"),
    ("a.jsonl", '{"question": "a", "answer": {"x": 1, "y": 2}}\n', (), "an object with x, y"),
    ("a.jsonl", '{"question": "\\ud800", "answer": "1"}\n', (), "line 1: the question holds half a character"),
    ("a.jsonl", '{"question": ["a"], "answer": "1"}\n', (), "not of messages"),
    ("a.jsonl", '{"question": 5, "answer": "1"}\n', (), "question is empty or no text"),
    ("a.jsonl", '{"problem": "a", "solution": "no box"}\n', (), "no \\boxed"),
    ("a.jsonl", ROW, ("--fields", "question=problem"), "no field 'problem'"),
    ("a.jsonl", ROW, ("--fields", "qestion=question"), "did you mean 'question'"),
    ("a.jsonl", ROW, ("--fields", "question"), "KEY=VALUE"),
    ("a.jsonl", ROW, ("--fields", "id=nr"), "which no row has"),
    ("a.jsonl", ROW, ("--leave-out", "level=1"), "which no row has"),
    ("a.jsonl", ROW, ("--leave-out", "answer=5"), "empty once rows are left out"),
    ("a.jsonl", ROW, ("--limit", "0"), "at least 1"),
    ("a.json", "[{]", (), "not valid JSON"),
    ("a.json", "[1, 2]", (), "record 1: expected a JSON object"),
    ("a.csv", 'question,answer\n"a,1\n', (), "not valid CSV"),
    ("a.csv", "question,answer\na\n", (), "row 1: not as many cells"),
    ("a.parquet", "no parquet", (), "not a readable Parquet"),
    ("a.jsonl", "\n\n", (), "empty"),
    ("a.jsonl.gz", "not gzip", (), "cannot be read"),
    ("a.jsonl", "{" * 100_000, (), "not valid JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words", "says"), BAD, ids=[b[3][:30] for b in BAD])
def test_a_bad_source_is_one_clear_line(name, content, words, says, tmp_path):
    (tmp_path / name).write_text(content)
    done = command("data", "show", tmp_path / name, *words)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr
    assert name in done.stderr or words


@pytest.mark.parametrize(
    ("source", "says"), [("nowhere.jsonl", "no such file"), ("folder", "no data files"), ("a/b/c", "no such file")]
)  # fmt: skip
def test_a_source_that_is_not_there_is_one_clear_line(source, says, tmp_path):
    (tmp_path / "folder").mkdir()
    done = command("data", "show", tmp_path / source)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert says in done.stderr


def test_show_says_what_was_recognised_and_what_is_wrong(tmp_path):
    rows = [
        {"problem": "2+3?", "answer": "5", "solution": r"so \boxed{5}", "extra": 1},
        {"problem": " 2+3? ", "answer": "proof", "solution": "We see it.", "extra": 1},
        {"problem": "2+4?", "answer": "{{", "solution": r"so \boxed{6}", "extra": 1},
    ]
    done = command("data", "show", write(tmp_path / "s.jsonl", *rows))
    assert done.returncode == 0, done.stderr
    for line in (
        "question: problem",
        "not read: extra",
        "3 problems, 3 with a solution",
        "1 golds that the checker cannot read: 2",
        "1 golds that say there is no answer (leave them out): 1",
        "1 questions that were there before: 1",
        "2 solutions that do not earn 1 against their own gold: 1, 2",
    ):
        assert line in done.stdout
