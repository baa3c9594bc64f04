"""The other tabs in a real browser: compare, watch a run, check an answer; addresses and screens."""

import signal
import subprocess
import sys
import urllib.parse

import pytest

from app.results import chosen, find_results, problem_table
from app.run_tab import step_html
from app.text import parting, votes
from common.errors import UserError
from common.files import write_text
from sampling.completion import Completion
from tests.conftest import ROOT, command
from tests.test_app import address, browser, serve  # noqa: F401 - fixtures
from tests.test_train import config_of
from train.config import to_toml


@pytest.fixture
def page(browser, address):  # noqa: F811
    page = browser.new_page()
    page.set_default_timeout(60_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#ask")
    yield page
    page.close()
    assert all(u.startswith((address, "data:", "blob:")) for u in asked), asked


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def test_compare_shows_the_difference_the_curves_and_the_problems(page):
    tab(page, "Compare")
    page.wait_for_function("document.querySelector('#result-b input')?.value.includes('step')")
    page.click("#compare-ask")
    page.wait_for_function("document.querySelector('#compare-head')?.innerText?.includes('pass@1')")
    assert "B − A" in page.inner_text("#compare-head")
    page.wait_for_selector("#compare-plot img")
    page.locator("#compare-table").get_by_text("synth-heldout-", exact=False).nth(1).click()
    page.wait_for_function("document.querySelector('#compare-samples')?.innerText?.includes('A:')")
    assert page.locator("#compare-samples pre").count() >= 2


def test_a_run_shows_curves_that_grow_while_it_trains(browser, base, tmp_path):  # noqa: F811
    folder = tmp_path / "runs" / "growing"
    run = {"steps": 400, "save_every": 400}
    write_text(tmp_path / "growing.toml", to_toml(config_of(folder, base, run=run)))
    process = subprocess.Popen(
        [sys.executable, "-m", "train", str(tmp_path / "growing.toml")], cwd=ROOT
    )
    app, address = serve(folder.parent)  # noqa: F811
    page = browser.new_page()
    try:
        while not (folder / "metrics.jsonl").exists():
            assert process.poll() is None
            page.wait_for_timeout(200)
        page.goto(address)
        tab(page, "Run")
        steps = []
        for _ in range(2):
            more = steps[-1] if steps else 0
            page.wait_for_function(
                f"Number(document.querySelector('#run-state')?.innerText.split('step ')[1]) > {more}"
            )
            steps.append(int(page.inner_text("#run-state").split("step ")[1]))
        assert "growing" in page.inner_text("#run-state")
        assert page.locator("#run-plot img").count() == 1
    finally:
        page.close()
        for one in (process, app):
            one.send_signal(signal.SIGKILL)
            one.wait()


def test_check_explains_a_verdict(page):
    tab(page, "Check")
    page.fill("#check-completion textarea", r"so \boxed{\frac{1}{2}} <b id=owned>")
    page.fill("#check-gold textarea, #check-gold input", "0.5")
    page.click("#check-ask")
    page.wait_for_selector("#check-steps .badge.right")
    assert "rule: boxed" in page.inner_text("#check-steps")
    assert page.locator("#owned").count() == 0


def test_samples_show_votes_and_the_pass_rate(page):
    page.wait_for_function("document.querySelector('input[aria-label=Right]')?.value != ''")
    page.fill("#question textarea", "Tom has 12 apples and finds 5 more. How many apples?")
    page.fill("#gold input, #gold textarea", "17")
    page.click("#many")
    page.wait_for_selector("#left-verdict .votes")
    assert "of 16 right" in page.inner_text("#left-verdict")


def test_an_address_brings_a_view_back(page, address):  # noqa: F811
    view = {"question": "What is 2+3?", "gold": "5", "right": "small: step 2", "seed": "7"}
    page.goto(f"{address}/?{urllib.parse.urlencode(view)}")
    page.wait_for_function("document.querySelector('#question textarea')?.value == 'What is 2+3?'")
    assert page.get_by_label("Right").input_value() == "small: step 2"
    page.click("#ask")
    page.wait_for_selector("#left-verdict .badge")
    page.wait_for_function("document.querySelector('#part')?.innerText.length > 5")
    assert "question=What+is" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_every_tab_without_sideways_scrolling(browser, address, scheme):  # noqa: F811
    page = browser.new_page(viewport={"width": 375, "height": 740}, color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector("#ask")
    names = ["Try it", "Compare", "Run", "Check"]
    for name in names:
        if page.get_by_role("tab", name=name, exact=True).count():
            tab(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 376, name
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = int(dark.split("(")[1].split(",")[0]) > 128
    assert light == (scheme == "light")
    page.close()


def test_results_are_found_filtered_and_nothing_else_is_served(finished_run, tmp_path):
    runs = finished_run.parent
    labels = [found.label for found in find_results(runs)]
    assert "small: synth-heldout, base" in labels
    _, a = chosen(runs, "small: synth-heldout, base")
    _, b = chosen(runs, "small: synth-heldout, step_000004")
    whole = problem_table(a, b, "all")
    parts = [problem_table(a, b, kind) for kind in ("fixed", "broken")]
    assert len(whole) == 20
    assert sum(map(len, parts)) == int((whole["A"] != whole["B"]).sum())
    for label in ("../../etc/passwd", "/etc/passwd", "", None):
        with pytest.raises(UserError):
            chosen(runs, label)
    outside = tmp_path / "outside" / "eval" / "set" / "x"
    outside.mkdir(parents=True)
    (outside / "results.json").write_text("{}")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    assert find_results(tmp_path / "runs") == []


def test_completions_of_a_step_are_text(finished_run, tmp_path):
    assert "<pre>" in step_html(finished_run, 2)
    assert "No completions of step 99" in step_html(finished_run, 99)
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "step_000001.parquet").write_bytes(b"not parquet")
    assert "cannot be read" in step_html(tmp_path, 1)


def test_votes_and_partings_are_escaped(base):
    from sampling.model import load_tokenizer

    table = votes(["<b>1</b>", "1", None], [0, 1, None], [1, 0, 0])
    assert "<b>1</b>" not in table
    assert "1 of 3 right" in table
    tokenizer = load_tokenizer(base)
    one, two = (tokenizer.encode(text) for text in ("12+3", "12*3"))
    texts = [Completion("", ids, [-0.1] * len(ids), "stop") for ids in (one, two)]
    assert "token 3" in parting(texts, [tokenizer] * 2)
    assert parting([texts[0]] * 2, [tokenizer] * 2) == "Both wrote the same."


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--host", "0.0.0.0"), "give --auth"),
        (("--auth", "nobody"), "USER:PASSWORD"),
        (("--port", "0"), "between 1 and 65535"),
    ],
)
def test_the_app_is_not_shown_to_others_without_a_password(words, answer):
    done = command("app", *words)
    assert done.returncode == 2
    assert answer in done.stderr
    assert done.stderr.count("\n") == 1
