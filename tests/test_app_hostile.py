"""Hostile runs, inputs and addresses: nothing is executed, nothing leaks, and the page lives on."""

import shutil
import urllib.error
import urllib.parse
import urllib.request

import pandas
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from app.evolution import map_html, problem_html, read_evolution, stages_of
from app.export import comparison_page, document
from app.files import read_metrics
from app.problem_table import Filters
from app.results import find, find_results
from app.rollouts import RolloutIndex, read_step
from app.runs import Library
from app.training import curves_html, settings_html, warnings_html
from common.errors import UserError
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
    library = Library(runs)
    names = {run.name for run in library.find_runs()}
    assert {"good", "broken", "holes"} < names
    assert not {"link", "no_config"} & names
    assert "holes: step 4" in library.choices()
    assert "holes: step 9" not in library.choices()
    assert not any(found.label.startswith(("holes", "link")) for found in find_results(library))


def test_nothing_of_a_file_outside_is_shown(runs):
    holes = runs / "holes"
    with pytest.raises(UserError, match="were kept"):
        read_step(holes, 2)
    assert SECRET not in settings_html([holes, runs / "good"]) + warnings_html(holes)
    assert RolloutIndex(holes).search(SECRET, "all", 0, 10, 20).searched == 0


def test_the_pages_of_hostile_runs_execute_nothing(browser, address, runs):
    """Every tab of every run: no script runs, no picture or link of the output's making."""
    for name in sorted(run.name for run in Library(runs).find_runs()):
        view = urllib.parse.urlencode({"tab": "run", "runs": name, "step": 2})
        with visit(browser, address, f"/?{view}") as page:
            page.wait_for_function(
                "(name) => document.querySelector('#run-state')?.innerText.includes(name)", arg=name
            )
            page.wait_for_function("document.querySelector('#run-groups')?.innerText.length > 20")
            page.get_by_role("tab", name="Configuration").click()
            page.wait_for_function(
                "document.querySelector('#run-settings')?.innerText.includes('= 8')"
            )
            assert SECRET not in page.content(), name
            assert page.locator("img[src=x], img[src*=leak], [href^=javascript]").count() == 0
            assert page.title() == "mathgrpo"
    with visit(browser, address, "/?tab=compare") as page:
        for side in ("a", "b"):
            page.click(f"#result-{side} input")
            page.locator("[aria-label='good: synth-heldout, base']:visible").last.click()
        page.click("#compare-ask")
        page.wait_for_selector("#compare-table tr[data-row]")
        page.locator("#compare-table tr[data-row]").first.click()
        page.wait_for_selector("#compare-samples .group")
        page.locator("#compare-samples summary").first.click()
        assert "<script>" in page.inner_text("#compare-samples")  # shown, as text
        assert page.locator("img[src=x], img[src*=leak], [href^=javascript]").count() == 0
        assert page.title() == "mathgrpo"


def test_hostile_words_typed_into_every_field_stay_text(browser, address):
    with visit(browser, address, "/?a=good:%20base&b=good:%20step%204") as page:
        page.wait_for_function(
            "document.querySelector('input[aria-label=\"Model B\"]')?.value == 'good: step 4'"
        )
        page.fill("#question textarea", HOSTILE)
        page.fill("#gold input, #gold textarea", HOSTILE)
        page.click("#ask")
        page.wait_for_selector("#b-head .badge")
        tab(page, "Check")
        page.fill("#check-completion textarea", HOSTILE)
        page.fill("#check-gold textarea, #check-gold input", HOSTILE)
        page.click("#check-ask")
        page.wait_for_selector("#check-stages .badge")
        assert page.locator("img[src=x], img[src*=leak], [href^=javascript]").count() == 0
        assert page.title() == "mathgrpo"


def test_an_address_full_of_nonsense_opens_the_page(browser, address):
    query = "/?tab=../x&runs=../../etc,link&step=nan&seed=-1e99&temperature=x&a=/etc/passwd&set=%00"
    with visit(browser, address, query) as page:
        page.wait_for_selector("#ask")
        tab(page, "Training")
        page.wait_for_function("document.querySelector('#run-state')?.innerText.length > 3")
        assert SECRET not in page.content()


def test_only_the_named_endpoints_can_be_called(client):
    told = client.view_api(return_format="dict")
    assert set(told["named_endpoints"]) == ENDPOINTS
    assert not told["unnamed_endpoints"]


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
    lines = read_metrics(runs / "broken")
    assert curves_html({"<b>$broken_": lines})
    with pytest.raises(UserError, match="cannot be read"):
        read_step(runs / "broken", 2)
    assert RolloutIndex(runs / "broken").search("", "all", 0, 10, 20).unread > 0


def test_a_saved_file_executes_nothing_and_fetches_nothing(browser, runs, tmp_path):
    library = Library(runs)
    a, b = (find(library, f"good: synth-heldout, {x}") for x in ("base", "step_000004"))
    found = read_evolution([a, b])
    problem = problem_html(stages_of(found, str(found.rates.index[0])))
    pages = {
        "comparison": comparison_page(a, b, Filters()),
        "evolution": document("evolution", map_html(found, "all", "") + problem),
    }
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    for name, text in pages.items():
        file = tmp_path / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        page.goto(file.as_uri())
        page.wait_for_timeout(500)
        assert asked == [file.as_uri()]
        assert page.title() == name
        assert page.locator("script, img, iframe, link, object").count() == 0
        assert "<script>" in page.text_content("details pre")
        assert page.locator("svg").count() >= 1
        asked.clear()
    page.close()


@pytest.mark.parametrize("what", ["no runs", "no checkpoints", "no evaluation"])
def test_an_empty_state_says_what_to_do(browser, finished_run, tmp_path, what):
    runs = tmp_path / "runs"
    runs.mkdir()
    if what != "no runs":
        gone = "checkpoints" if what == "no checkpoints" else "eval"
        shutil.copytree(finished_run, runs / "fresh", ignore=shutil.ignore_patterns(gone))
    with serve(runs) as address, visit(browser, address) as page:
        if what == "no runs":
            page.locator("#ask-note").get_by_text("No runs here yet").wait_for()
            assert "make demo" in page.inner_text("#ask-note")
            tab(page, "Training")
            page.locator("#run-note").get_by_text("python -m train").wait_for()
        elif what == "no checkpoints":
            page.locator("#ask-note").get_by_text("has no checkpoint yet").wait_for()
            assert "--resume" in page.inner_text("#ask-note")
        if what != "no checkpoints":
            tab(page, "Compare")
            page.locator("#compare-note").get_by_text("python -m eval").wait_for()
