"""Odd files and odd output: what is left is shown, the rest is told in words; formulas and money."""

import json
import os
import shutil
import tomllib

import pandas
import pytest
import tomli_w

from app.answer_view import answer_counts, found_html
from app.evolution import read_evolution
from app.files import read_metrics
from app.formulas import CLOSE, CLOSE_DISPLAY, OPEN, OPEN_DISPLAY, to_markdown
from app.problem_table import Filters, problem_table
from app.problems import ProblemBook
from app.results import find, find_results, load
from app.rollouts import groups_of, read_step
from app.runs import Library
from app.training import step_html, warnings_html
from common.errors import UserError
from rewards import check
from tests.test_app_hostile import HOSTILE


def test_one_run_that_cannot_be_read_is_named_and_the_others_are_shown(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "good")
    bad = {
        "data is text": '[model]\npath = "x"\n[lora]\n',
        "endless": '[model]\npath = "x"\n[sampler]\nmax_tokens = inf',
        "deep": f"a = {'[' * 5000}{']' * 5000}",
        "no model": "[run]\nsteps = 1",
        "text for model": 'model = "x"',
        "bytes": "\x00\xff",
    }
    for name, config in bad.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(config)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "config.toml")
    (tmp_path / "good" / "checkpoints" / "step_²").mkdir()
    config = tomllib.loads((finished_run / "config.toml").read_text())
    for name, change in (("odd data", {"data": "x"}), ("odd eval", {"eval": 1})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(tomli_w.dumps(config | change))
    library = Library(tmp_path)
    assert {run.name for run in library.find_runs()} == {
        "good",
        "odd data",
        "odd eval",
        "data is text",
    }
    assert set(library.unreadable()) == {
        "endless",
        "deep",
        "no model",
        "text for model",
        "bytes",
        "pipe",
    }
    assert "good: step 4" in library.choices()


def test_odd_files_are_shown_with_what_is_left_or_told_in_words(finished_run, tmp_path):
    run = tmp_path / "odd"
    shutil.copytree(finished_run, run)
    lines = (
        f'{{"step": 1, "kl": {"9" * 400}}}\n{{"step": {"9" * 5000}}}\n{{"step": 2, "kl": 0.5}}\n'
    )
    (run / "metrics.jsonl").write_text(lines + "[" * 100_000)
    assert [line["kl"] for line in read_metrics(run)] == [None, 0.5]
    (run / "warnings.txt").unlink(missing_ok=True)
    (run / "warnings.txt").mkdir()
    assert warnings_html(run) == ""
    file = run / "rollouts" / "step_000002.parquet"
    rows = pandas.read_parquet(file)
    rows["question"] = [["a", "list"]] * len(rows)
    rows["extra"] = "<b>"
    rows["reward/length"] = 0.25
    rows.drop(columns=["advantage", "reason"]).to_parquet(file)
    assert "length +0.25" in step_html(read_step(run, 2), 0, {})
    rows["reward"] = [["x"]] * len(rows)
    rows.to_parquet(file)
    with pytest.raises(UserError, match="no numbers"):
        read_step(run, 2)
    rows.drop(columns=["completion"]).to_parquet(file)
    with pytest.raises(UserError):
        read_step(run, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"n_samples": 10**12},
        {"n_samples": "2"},
        {"pass_at_k": {"1000000000000": 1}},
        {"pass_at_k": {"²": 1}},
        {"pass_at_k": [1]},
    ],
)
def test_a_result_that_contradicts_its_samples_is_told_in_words(finished_run, tmp_path, change):
    shutil.copytree(finished_run, tmp_path / "odd")
    folder = tmp_path / "odd" / "eval" / "synth-heldout" / "base"
    told = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps({**told, **change}))
    found = find(Library(tmp_path), "odd: synth-heldout, base")
    with pytest.raises(UserError, match="cannot be read"):
        load(found)


def test_problems_that_share_an_id_stay_problems_of_their_own(finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for file in run.glob("eval/*/*/samples.parquet"):
        samples = pandas.read_parquet(file)
        samples["problem"] = "one id"
        samples.to_parquet(file)
    library = Library(tmp_path)
    a, b = (find(library, f"run: synth-heldout, {x}") for x in ("base", "step_000004"))
    truth = [
        find(Library(finished_run.parent), f"small: synth-heldout, {x}")
        for x in ("base", "step_000004")
    ]
    table, wanted = problem_table(a, b, Filters()), problem_table(*truth, Filters())
    assert table[["question", "a", "b"]].equals(wanted[["question", "a", "b"]])
    assert table["problem"].tolist()[:2] == ["one id", "one id (2)"]
    found, known = read_evolution([a, b]), read_evolution(truth)
    assert found.rates.to_numpy().tolist() == known.rates.to_numpy().tolist()
    book = ProblemBook(library, "synth:heldout,n=5")
    assert len({p.question for p in book.all("run: synth-heldout")}) == len(wanted)
    moved = pandas.read_parquet(b.folder / "samples.parquet")
    moved["question"] = "another: " + moved["question"]
    moved.to_parquet(b.folder / "samples.parquet")
    assert read_evolution([a, b]).left_out == ["step_000004"]
    with pytest.raises(UserError, match="no problem was fixed"):
        book.all("run: synth-heldout, fixed by training")


def test_a_problem_drawn_twice_in_a_step_is_two_groups(finished_run, tmp_path):
    rows = read_step(finished_run, 2)
    first, second = groups_of(rows)[:2]
    assert len(groups_of(rows)) == 8
    twice = pandas.concat([first, second, first], ignore_index=True)
    assert [len(g) for g in groups_of(twice)] == [8, 8, 8]
    second = second.assign(problem=first["problem"].iloc[0])
    assert len(groups_of(pandas.concat([first, second], ignore_index=True))) == 2


def test_results_anywhere_below_the_runs_folder_or_a_named_one_are_found(finished_run, tmp_path):
    """README writes to runs/base and runs/trained; --results names others."""
    result = finished_run / "eval" / "synth-heldout" / "base"
    shutil.copytree(result, tmp_path / "runs" / "base")
    shutil.copytree(result, tmp_path / "elsewhere" / "gsm8k" / "step_000010")
    library = Library(tmp_path / "runs", results=[tmp_path / "elsewhere"])
    labels = {found.label for found in find_results(library)}
    assert labels == {"runs/base", "elsewhere/gsm8k/step_000010"}


def test_money_is_no_formula_and_formulas_are():
    for text in (
        "It costs $5 and $6.",
        "between $5-$10, or ($3) and ($4)",
        "$12/$3 = 4",
        "$5 each and 3 of them cost 15$",
        "a$b$c",
        "He has $20, $30 and$ 5",
    ):
        assert not set(to_markdown(text)) & {OPEN, OPEN_DISPLAY}, text
    for text in ("$x$", "so $x^2 + 5$.", r"$\frac{1}{2}$", "$5$", "$5x = 10$", r"\(x\)"):
        assert to_markdown(text).count(OPEN) == 1, text
    assert to_markdown("$$x$$ and \\[y\\]").count(CLOSE_DISPLAY) == 2


@pytest.mark.parametrize(
    "formula",
    [
        r"\rule{1em}{80000px}",
        r"x \\[80000px] y",
        r"\raisebox{9999em}{x}",
        "{" * 50 + "x" + "}" * 50,
        r"\href{javascript:alert(1)}{x}",
        r"\htmlClass{a}{x}",
        r"\def\a{x}\a",
    ],
)
def test_formulas_that_reach_out_of_their_place_stay_text(formula):
    assert OPEN not in to_markdown(f"${formula}$")


def test_no_character_of_a_model_can_open_or_close_a_formula():
    shown = to_markdown(f"{OPEN}\\href{{x}}{{y}}{CLOSE}{OPEN_DISPLAY}")
    assert not set(shown) & {OPEN, CLOSE, OPEN_DISPLAY, CLOSE_DISPLAY}


def test_model_output_becomes_text_and_formulas_never_markup():
    shown = to_markdown("<script>alert(1)</script> ![x](http://a.b/c) [y](javascript:z) *b*")
    assert not set("<>[]()!*") & set(shown)
    assert to_markdown(r"so $x^2$ and \boxed{\frac{1}{2}}").count(OPEN) == 2
    assert "<" not in to_markdown("$a<b$") + to_markdown("$*a*$").replace("*", "<")
    assert to_markdown("<b>", (0, 1)) == "<mark>&#60;</mark>b&#62;"
    for shown in (found_html(check(HOSTILE, "17")), answer_counts([HOSTILE], [0])):
        assert "<script" not in shown
        assert "<img" not in shown
    table = answer_counts(["<b>1</b>", "1", None], [1, 0, 0])
    assert "<b>1</b>" not in table
