"""Hostile runs, inputs and addresses: nothing is executed, nothing leaks, and the page lives on."""

import shutil
import urllib.error
import urllib.parse
import urllib.request

import pandas
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from app.results import find_results
from app.run_tab import curves, settings, step_html
from app.runs import find_choices, find_runs
from app.shown import tally_html, verdict_html
from app.text import to_markdown, votes
from tests.conftest import serve, tab, visit

SECRET = "secret-7f3a"
OWNED = "document.title='owned'"
HOSTILE = (
    f'<script>{OWNED}</script><img src=x onerror="{OWNED}"> ![leak](http://10.9.8.7/leak.png) '
    f"[go](javascript:{OWNED}) <svg onload={OWNED}> $\\href{{javascript:{OWNED}}}{{x}}$ #### 17"
)
PATHS = ("../../etc/passwd", "/etc/passwd", "..%2f..%2fx", "holes: step 9", "x\0y", "good: ../base")
ENDPOINTS = {"/checkpoints", "/answers", "/samples", "/check", "/results", "/compare", "/pick"}


@pytest.fixture(scope="module")
def runs(finished_run, tmp_path_factory):
    """A folder of runs: a good one with hostile output, a broken one, one full of ways out."""
    root = tmp_path_factory.mktemp("hostile")
    runs, outside = root / "runs", root / "outside"
    for folder in (runs / "good", runs / "broken", runs / "holes", outside):
        shutil.copytree(finished_run, folder)
    (runs / "no_config").mkdir()
    (runs / "no_config" / "config.toml").write_text("not toml")
    (runs / "link").symlink_to(outside)

    good, broken, holes = runs / "good", runs / "broken", runs / "holes"
    for file in [*good.glob("rollouts/*.parquet"), *good.glob("eval/*/*/samples.parquet")]:
        table = pandas.read_parquet(file)
        table["completion"] = table["question"] = table["reason"] = HOSTILE
        table.to_parquet(file)
    (good / "warnings.txt").write_text(HOSTILE + "\n```\n" + HOSTILE)
    shutil.copytree(good, runs / f"<img src=x onerror={OWNED}> $a_")

    for file in broken.glob("**/*.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    for file in broken.glob("**/*.parquet"):
        file.write_bytes(b"not parquet")
    (broken / "metrics.jsonl").write_bytes(b'\xff\xfe\n[1]\n{"step": "x"}\n{"step": 1, "kl"')

    (outside / "warnings.txt").write_text(SECRET)
    for file in outside.glob("**/*.parquet"):
        table = pandas.read_parquet(file)
        table["completion"] = table["question"] = table["gold"] = SECRET
        table.to_parquet(file)
    for name in ("warnings.txt", "metrics.jsonl", "rollouts", "eval"):
        if (holes / name).is_dir():
            shutil.rmtree(holes / name)
        (holes / name).unlink(missing_ok=True)
        (holes / name).symlink_to(outside / name)
    (holes / "checkpoints" / "step_000009").symlink_to(outside / "checkpoints" / "step_000004")
    return runs


@pytest.fixture(scope="module")
def address(runs):
    with serve(runs) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


def test_runs_links_and_broken_files_are_passed_over(runs):
    names = {run.name for run in find_runs(runs)}
    assert {"good", "broken", "holes"} < names
    assert not {"link", "no_config"} & names
    assert "holes: step 4" in find_choices(runs)
    assert "holes: step 9" not in find_choices(runs)
    assert not any(found.label.startswith(("holes", "link")) for found in find_results(runs))


def test_nothing_of_a_file_outside_is_shown(runs):
    holes = runs / "holes"
    assert "were kept" in step_html(holes, 2)
    assert SECRET not in settings([holes, runs / "good"])


def test_the_pages_of_hostile_runs_execute_nothing(browser, address, runs):
    """Every tab of every run: no script runs, no picture or link of the output's making."""
    for name in sorted(run.name for run in find_runs(runs)):
        view = urllib.parse.urlencode({"tab": "run", "runs": name, "step": 2})
        with visit(browser, address, f"/?{view}") as page:
            page.wait_for_function(
                "(name) => document.querySelector('#run-state')?.innerText.includes(name)", arg=name
            )
            page.get_by_role("button", name="Warnings and configuration").click()
            page.wait_for_selector("#run-plot img")
            page.wait_for_function(
                "document.querySelector('#run-notes')?.innerText.includes('grpo.completions = 8')"
            )
            assert SECRET not in page.content(), name
            assert page.locator("img[src=x], img[src*=leak], [href^=javascript]").count() == 0
            assert page.title() == "mathgrpo"
    with visit(browser, address, "/?tab=compare") as page:
        for side in ("a", "b"):
            page.click(f"#result-{side} input")
            page.locator("[role=option]:visible", has_text="good: synth-heldout, base").last.click()
        page.click("#compare-ask")
        page.wait_for_selector("#compare-plot img")
        page.locator("#compare-table").get_by_text("synth-heldout-").nth(1).click()
        page.wait_for_selector("#compare-samples pre")
        assert "<script>" in page.inner_text("#compare-samples")  # shown, as text
        assert page.locator("img[src=x], img[src*=leak], [href^=javascript]").count() == 0
        assert page.title() == "mathgrpo"


def test_hostile_words_typed_into_every_field_stay_text(browser, address):
    with visit(browser, address, "/?left=good:%20base&right=good:%20step%204") as page:
        page.wait_for_function(
            "document.querySelector('input[aria-label=Right]')?.value == 'good: step 4'"
        )
        page.fill("#question textarea", HOSTILE)
        page.fill("#gold input, #gold textarea", HOSTILE)
        page.click("#ask")
        page.wait_for_selector("#right-verdict .badge")
        tab(page, "Check")
        page.fill("#check-completion textarea", HOSTILE)
        page.fill("#check-gold textarea, #check-gold input", HOSTILE)
        page.click("#check-ask")
        page.wait_for_selector("#check-steps .badge")
        assert page.locator("img[src=x], img[src*=leak], [href^=javascript]").count() == 0
        assert page.title() == "mathgrpo"


def test_an_address_full_of_nonsense_opens_the_page(browser, address):
    query = (
        "/?tab=../x&runs=../../etc,link&step=nan&seed=-1e99&temperature=x&a=/etc/passwd&left=%00"
    )
    with visit(browser, address, query) as page:
        page.wait_for_selector("#ask")
        tab(page, "Run")
        page.wait_for_selector("#run-plot img")
        assert SECRET not in page.content()


def test_only_the_named_endpoints_can_be_called(client):
    told = client.view_api(return_format="dict")
    assert set(told["named_endpoints"]) == ENDPOINTS
    assert not told["unnamed_endpoints"]


def test_the_endpoints_do_what_the_page_says(client):
    labels = client.predict(api_name="/checkpoints")
    assert {"good: base", "good: step 4"} <= set(labels)
    asked = ("Tom has 12 apples and finds 5 more. How many apples?", labels[:1], "17")
    turns = list(client.submit(*asked, 0.0, 0, api_name="/answers"))
    assert len(turns) > 3
    [told] = turns[-1]
    assert told["reward"] == int(told["text"].strip().endswith("#### 17"))
    [found] = client.predict(*asked, 8, 0, api_name="/samples")
    assert len(found["samples"]) == 8
    assert found["pass_rate"] == sum(one["reward"] for one in found["samples"]) / 8
    assert client.predict(r"\boxed{0.5}", "1/2", api_name="/check")["reward"] == 1
    results = [r for r in client.predict(api_name="/results") if r.startswith("good")]
    lines = client.predict(*results[:2], api_name="/compare")
    assert any(line.startswith("pass@1") for line in lines)
    assert client.predict("", "2", api_name="/pick")["gold"]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_in_a_request_opens_anything(client, path):
    for words in (
        ("1+1?", [path], "2", 0.0, 0, "/answers"),
        ("1+1?", [path], "2", 4, 0, "/samples"),
        (path, path, "/compare"),
        (path, "any", "/pick"),
        ("", path, "/pick"),
    ):
        *values, name = words
        with pytest.raises(AppError) as error:
            client.predict(*values, api_name=name)
        assert "Traceback" not in str(error.value)
        assert "root:" not in str(error.value)


def test_limits_hold_in_every_endpoint(client):
    long = "7" * 1_000_000
    for words in (
        (long, ["good: base"], "2", 0.0, 0, "/answers"),
        ("1+1?", ["good: base"], long, 0.0, 0, "/answers"),
        ("1+1?", ["good: base"] * 5, "2", 0.0, 0, "/answers"),
        ("1+1?", "good: base", "2", 0.0, 0, "/answers"),
        ("1+1?", ["good: base"], "2", -1.0, 0, "/answers"),
        ("1+1?", ["good: base"], "2", "hot", 0, "/answers"),
        ("1+1?", [{"a": 1}], "2", 4, 0, "/samples"),
        ("1+1?", ["good: base"], "2", 10**9, 0, "/samples"),
        (long, "1", "/check"),
        ("1", long, "/check"),
        (long, long, "/compare"),
        (long, long, "/pick"),
    ):
        *values, name = words
        with pytest.raises(AppError) as error:
            client.predict(*values, api_name=name)
        assert len(str(error.value)) < 600
        assert "Traceback" not in str(error.value)
    assert client.predict("1", "1", api_name="/check")["reward"] == 1


def test_broken_checkpoints_and_results_are_told_in_words(client):
    with pytest.raises(AppError, match="step_000004"):
        client.predict("1+1?", ["broken: step 4"], "2", 0.0, 0, api_name="/answers")
    labels = [f"broken: synth-heldout, {x}" for x in ("base", "step_000004")]
    with pytest.raises(AppError, match="cannot be read"):
        client.predict(*labels, api_name="/compare")
    with pytest.raises(AppError, match="cannot be read"):
        client.predict("broken: synth-heldout", "any", api_name="/pick")
    done = client.predict("1+1?", ["broken: base"], "2", 0.0, 0, api_name="/answers")
    assert done[0]["text"]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=pyproject.toml",
        "/gradio_api/file=../../etc/passwd",
        "/file=/etc/passwd",
        "/static/../../../etc/passwd",
        "/gradio_api/file=http://127.0.0.1:9/x",
        "/monitoring",
    ],
)
def test_no_file_of_this_machine_is_served(address, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address + path, timeout=10)
    assert refused.value.code in (400, 403, 404, 405)


def test_a_run_with_broken_metrics_is_drawn_with_what_is_left(runs):
    from app.run_tab import _metrics

    assert curves({"$broken_": _metrics(runs / "broken")}) is not None
    assert "cannot be read" in step_html(runs / "broken", 2)


def test_model_output_becomes_text_and_formulas_never_markup():
    shown = to_markdown("<script>alert(1)</script> ![x](http://a.b/c) [y](javascript:z) *b*")
    assert not set("<>[]()!*") & set(shown)
    assert to_markdown(r"so $x^2$ and \boxed{\frac{1}{2}}").count("$") == 4
    assert "$" not in to_markdown(r"$\href{javascript:alert(1)}{x}$")
    assert to_markdown("<b>", (0, 1)) == "<mark>&#60;</mark>b&#62;"
    for shown in (verdict_html(HOSTILE, "17"), *tally_html([HOSTILE], HOSTILE)):
        assert "<script" not in shown
        assert "<img" not in shown
    table = votes(["<b>1</b>", "1", None], [0, 1, None], [1, 0, 0])
    assert "<b>1</b>" not in table
    assert "1 of 3 right" in table


@pytest.mark.parametrize("what", ["no runs", "no checkpoints", "no evaluation"])
def test_an_empty_state_says_what_to_do(browser, finished_run, tmp_path, what):
    runs = tmp_path / "runs"
    runs.mkdir()
    if what != "no runs":
        gone = "checkpoints" if what == "no checkpoints" else "eval"
        shutil.copytree(finished_run, runs / "fresh", ignore=shutil.ignore_patterns(gone))
    with serve(runs) as address, visit(browser, address) as page:
        if what == "no runs":
            page.locator("#try-note").get_by_text("No runs here yet").wait_for()
            assert "make demo" in page.inner_text("#try-note")
            tab(page, "Run")
            page.locator("#run-note").get_by_text("python -m train").wait_for()
        elif what == "no checkpoints":
            page.locator("#try-note").get_by_text("has no checkpoint yet").wait_for()
            assert "--resume" in page.inner_text("#try-note")
        if what != "no checkpoints":
            tab(page, "Compare")
            page.locator("#compare-note").get_by_text("python -m eval").wait_for()
