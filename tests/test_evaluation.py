"""Evaluations go on after a death, tell what is real, and show it without the outside."""

import json
import re
import signal
import time

import numpy
import pandas
import pytest

from common.errors import UserError
from data import PromptTemplate, synthesize
from data.shots import SHOTS, examples
from eval.compare import compare, difference, p_value
from eval.intervals import difference_interval
from eval.overlap import find_overlaps
from eval.result import load_result
from eval.votes import classes, majority_right
from models.loading import load_tokenizer
from rewards import check
from tests.fork_server import Command, command

ASK = ("--data", "synth:heldout,n=120,levels=1-2", "--n", "16", "--k", "1,4", "--max-tokens", "24")


def test_killed_twice_and_resumed_gives_the_same_bytes(base, tmp_path):
    words = ["eval", "--model", base, *ASK, "--out"]
    whole = command(*words, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    journal = tmp_path / ".killed.journal.jsonl"
    for kill in range(2):
        process = Command(*words, tmp_path / "killed")
        while process.poll() is None and lines(journal) < kill + 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "killed").exists()
    with open(journal, "a") as file:
        file.write('[{"problem": "cut o')
    last = command(*words, tmp_path / "killed")
    assert last.returncode == 0, last.stderr
    assert not journal.exists()
    for name in ("results.json", "report.html"):
        ours = (tmp_path / "killed" / name).read_bytes()
        assert ours == (tmp_path / "whole" / name).read_bytes()
    frames = [pandas.read_parquet(tmp_path / x / "samples.parquet") for x in ("whole", "killed")]
    pandas.testing.assert_frame_equal(*frames)


def lines(path):
    return path.read_text().count("\n") if path.exists() else 0


def test_many_adapters_and_sets_in_one_call(base, finished_run, tmp_path):
    steps = [finished_run / "checkpoints" / f"step_00000{n}" for n in (2, 4)]
    done = command(
        *("eval", "--model", base, "--adapter", "base", *steps, "--n", "2", "--max-tokens", "24"),
        *("--data", "synth:heldout,n=10,levels=1", "synth:train,n=6,levels=1", "--export"),
        *("--out", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    for name in ("base", "step_000002", "step_000004"):
        result, samples = load_result(tmp_path / "out" / "synth-heldout" / name)
        assert len(samples) == 20
        assert result["adapter"] is None or result["adapter"].endswith(name)
    assert (tmp_path / "out" / "synth-train" / "report.html").is_file()
    assert (tmp_path / "out" / "synth-train" / "pass_at_k.png").is_file()
    exported = tmp_path / "out" / "synth-train" / "base" / "samples_lm_eval.jsonl"
    first = json.loads(exported.read_text().splitlines()[0])
    assert {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps"} < set(first)
    alone = command(
        *("eval", "--model", base, "--adapter", steps[1], "--n", "2", "--max-tokens", "24"),
        *("--data", "synth:heldout,n=10,levels=1", "--out", tmp_path / "alone"),
    )
    assert alone.returncode == 0, alone.stderr
    mine, _ = load_result(tmp_path / "alone")
    theirs, _ = load_result(tmp_path / "out" / "synth-heldout" / "step_000004")
    assert mine == theirs


def test_the_report_needs_nothing_from_outside(browser, finished_run, tmp_path):
    a, b = (finished_run / "eval" / "synth-heldout" / x for x in ("base", "step_000004"))
    report, plot = tmp_path / "report.html", tmp_path / "curves.svg"
    done = command("eval", "compare", a, b, "--report", report, "--plot", plot)
    assert done.returncode == 0, done.stderr
    assert "p = " in done.stdout
    assert plot.read_text().lstrip().startswith("<?xml")
    assert not re.search(r"(?:src|href)=['\"]?(?:https?:)?//", report.read_text())
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert page.locator("img").count() >= 1
    assert page.locator("img").first.evaluate("image => image.naturalWidth") > 100
    page.locator("summary").first.click()
    assert page.locator("details pre").first.is_visible()
    assert all(url.startswith(("file:", "data:")) for url in asked)


def test_model_output_in_a_report_is_text(finished_run, tmp_path):
    from eval.report import save_report

    results, samples = load_result(finished_run / "eval" / "synth-heldout" / "base")
    samples["completion"] = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
    save_report(tmp_path / "r.html", [(results, samples)], ["<b>base</b>"])
    text = (tmp_path / "r.html").read_text()
    assert "<script>" not in text
    assert "<img src=x" not in text
    assert "<b>base" not in text


def frame(rewards):
    rows = [
        {"problem": f"p{i}", "question": f"q{i}", "gold": "1", "reward": r, "sample": j}
        for i, group in enumerate(rewards)
        for j, r in enumerate(group)
    ]
    return pandas.DataFrame(rows)


def result(rewards, **more):
    n = len(rewards[0])
    ks = {"pass_at_k": {"1": {}}, "n_samples": n, "data": "d", "temperature": 1.0}
    return {**ks, **more}, frame(rewards)


def test_p_values_of_one_sample_each_are_mcnemars():
    a, b = result([[1]] * 3 + [[0]] * 12 + [[1]] * 5), result([[0]] * 3 + [[1]] * 12 + [[1]] * 5)
    found = compare(a, b)
    assert found.details[1].test.startswith("McNemar")
    assert found.details[1].p_value == pytest.approx(0.03515625)
    assert (len(found.fixed), len(found.broken)) == (12, 3)


def test_sign_flips_agree_with_full_enumeration():
    values = numpy.array([0.5, -0.25, 0.75, 0.25, 0.5, 0.25, -0.5, 0.75])
    signs = numpy.array(numpy.meshgrid(*[[1, -1]] * 8)).reshape(8, -1).T
    exact = float((abs(signs @ values) >= abs(values.sum()) - 1e-12).mean())
    p, test = p_value(values)
    assert test == "sign flips"
    assert p == pytest.approx(exact, abs=0.02)
    assert p_value(numpy.zeros(5)) == (1.0, "no problem differs")


def test_power_says_how_many_problems_would_tell():
    draw = numpy.random.default_rng(0)
    a = draw.random(40)
    needed = difference(a, a + 0.02 + 0.3 * draw.standard_normal(40)).needed
    assert needed is not None
    tell = 0
    for _ in range(300):
        noise = 0.3 * draw.standard_normal(1766) + 0.02  # ((1.96 + 0.84) · 0.3 / 0.02)²
        tell += difference_interval(numpy.zeros(1766), noise).ci_low > 0
    assert 0.7 < tell / 300 < 0.9


def test_results_asked_in_another_way_are_not_compared():
    with pytest.raises(UserError, match=r"temperature was 1\.0 and 0\.5"):
        compare(result([[1], [0]]), result([[1], [0]], temperature=0.5))


def test_votes_count_equal_answers_as_one():
    assert classes(["1/2", "0.5", None, "7", r"\frac{1}{2}", "7.0"]) == [0, 0, None, 1, 0, 1]
    samples = pandas.DataFrame(
        {
            "problem": ["a"] * 5 + ["b"] * 5,
            "sample": [*range(5)] * 2,
            "extracted": ["0.5", "7", r"\frac12", "7", "1/2", None, None, None, None, None],
            "reward": [1, 0, 1, 0, 1, 0, 0, 0, 0, 0],
        }
    )
    assert majority_right(samples, 5).tolist() == [1.0, 0.0]
    assert 0 < majority_right(samples, 1)[0] < 1


def test_planted_duplicates_are_found_and_no_others():
    training, evaluation = synthesize(400, seed=1), synthesize(60, seed=2, split="heldout")
    places = [3, 77, 311]
    for place, problem in zip(places, evaluation[:3], strict=True):
        question = problem.question.upper().replace(".", " !")
        training[place] = type(problem)(id=f"copy{place}", question=question, answer="1")
    found = find_overlaps(training, evaluation)
    assert {o.problem.id for o in found[:3]} == {p.id for p in evaluation[:3]}
    assert all(o.share == 1.0 for o in found[:3])
    assert all(o.share < 1.0 for o in found[3:])


def test_the_overlap_command(tmp_path):
    done = command("data", "synth", "--n", "50", "--seed", "0", "--out", tmp_path / "a.jsonl")
    assert done.returncode == 0, done.stderr
    done = command("eval", "overlap", tmp_path / "a.jsonl", tmp_path / "a.jsonl", "--show", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("50 of 50 problems")


def test_few_shot_prompts_show_right_worked_examples(base):
    for _, steps, answer in SHOTS:
        assert check(f"{steps} The answer is {answer}.", answer).reward == 1
        assert check(steps, answer).reward == 1  # the last number of the steps
    template = PromptTemplate(load_tokenizer(base), shots=3)
    text = template.render("How many?")
    assert text.startswith(examples(3))
    assert text.endswith("Question: How many?\nAnswer:")
    with pytest.raises(UserError, match="8 worked examples"):
        PromptTemplate(load_tokenizer(base), shots=9)


def test_a_missing_gold_an_unwritable_folder_and_an_empty_set(base, tmp_path):
    (tmp_path / "no_gold.jsonl").write_text('{"question": "1+1?"}\n')
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "file").write_text("")
    for data, out, word in (
        ("no_gold.jsonl", "x", "no_gold.jsonl, line 1"),
        ("empty.jsonl", "x", "empty"),
        ("synth:heldout,n=3", "file/x", "file"),
    ):
        data = data if data.startswith("synth") else tmp_path / data
        done = command("eval", "--model", base, "--data", data, "--out", tmp_path / out)
        assert done.returncode == 2, done.stdout
        assert word in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
