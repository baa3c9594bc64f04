"""The other tabs in a real browser: compare, watch a run, check an answer; phones and the dark."""

import signal

import pytest

from app.results import chosen, find_results, problem_table
from common.files import write_text
from tests.conftest import config_of, serve, tab, visit
from tests.nursery import Command, command
from train.config import to_toml

NAMES = ["Try it", "Compare", "Run", "Check"]


def test_compare_shows_the_difference_the_curves_and_the_problems(page, finished_run):
    tab(page, "Compare")
    page.wait_for_function("document.querySelector('#result-b input')?.value.includes('step')")
    page.click("#compare-ask")
    page.wait_for_function("document.querySelector('#compare-head')?.innerText?.includes('pass@1')")
    assert "B − A" in page.inner_text("#compare-head")
    page.wait_for_selector("#compare-plot img")
    page.locator("#compare-table").get_by_text("synth-heldout-", exact=False).nth(1).click()
    page.wait_for_function("document.querySelector('#compare-samples')?.innerText?.includes('A:')")
    assert page.locator("#compare-samples pre").count() >= 2


def test_compare_filters_its_table(page, finished_run):
    runs = finished_run.parent
    a, b = (chosen(runs, f"small: synth-heldout, {x}")[1] for x in ("base", "step_000004"))
    tab(page, "Compare")
    page.wait_for_function("document.querySelector('#result-b input')?.value.includes('step')")
    page.click("#compare-ask")
    page.wait_for_selector("#compare-plot img")
    for kind in ("both wrong", "both right"):
        names = problem_table(a, b, kind)["problem"].astype(str).tolist()
        page.get_by_label(kind, exact=True).check()
        page.wait_for_function(
            """(wanted) => {
              const shown = document.querySelector('#compare-table').innerText.split('\\n')
                .filter((t) => t.startsWith('synth-heldout-'));
              return shown.every((t) => wanted.includes(t)) && !!shown.length == !!wanted.length;
            }""",
            arg=names,
        )


def test_a_run_shows_curves_that_grow_while_it_trains(browser, base, tmp_path):
    folder = tmp_path / "runs" / "growing"
    config = config_of(folder, base, run={"steps": 400, "save_every": 400})
    write_text(tmp_path / "growing.toml", to_toml(config))
    process = Command("train", tmp_path / "growing.toml")
    try:
        with serve(folder.parent) as address, visit(browser, address) as page:
            while not (folder / "metrics.jsonl").exists():
                assert process.poll() is None
                page.wait_for_timeout(200)
            page.goto(address)
            tab(page, "Run")
            steps, pictures = [], []
            for _ in range(2):
                more = steps[-1] if steps else 0
                page.wait_for_function(
                    "Number(document.querySelector('#run-state')?.innerText.split('step ')[1])"
                    f" > {more}"
                )
                steps.append(int(page.inner_text("#run-state").split("step ")[1]))
                page.wait_for_timeout(300)
                pictures.append(page.get_attribute("#run-plot img", "src"))
            assert "growing" in page.inner_text("#run-state")
            assert pictures[0] != pictures[1]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_run_shows_completions_of_a_step_and_its_configuration(page):
    tab(page, "Run")
    page.wait_for_function("document.querySelector('#run-completions')?.innerText.includes('gold')")
    before = page.inner_text("#run-completions")
    page.get_by_label("number input for Step").fill("3")
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('#run-completions').innerText != {before!r}")
    page.get_by_role("button", name="Warnings and configuration").click()
    page.get_by_text("grpo.completions = 8").wait_for()


def test_check_explains_a_verdict(page):
    tab(page, "Check")
    page.fill("#check-completion textarea", r"so \boxed{\frac{1}{2}} <b id=owned>")
    page.fill("#check-gold textarea, #check-gold input", "0.5")
    page.click("#check-ask")
    page.wait_for_selector("#check-steps .badge.right")
    assert "rule: boxed" in page.inner_text("#check-steps")
    assert page.locator("#owned").count() == 0


def test_an_address_brings_a_tab_and_its_choices_back(browser, address):
    view = "/?tab=run&runs=small&step=3"
    with visit(browser, address, view) as page:
        page.wait_for_function(
            "document.querySelector('#run-completions')?.innerText.includes('gold')"
        )
        assert page.locator("#run-plot").is_visible()
        assert page.get_by_label("number input for Step").input_value() == "3"
        tab(page, "Compare")
        page.wait_for_function("location.search.includes('tab=compare')")


def test_a_tab_opened_while_the_page_still_loads_stays_open(browser, address):
    page, held = browser.new_page(), []
    page.route("**/queue/join*", lambda asked: held.append(asked))
    page.goto(address)
    tab(page, "Compare")
    page.wait_for_timeout(1000)
    assert held  # the page waits for its contents, and somebody has clicked
    for asked in held:
        asked.continue_()
    page.unroute("**/queue/join*")
    page.wait_for_function("document.querySelector('#result-b input')?.value.includes('step')")
    page.wait_for_timeout(1000)
    assert page.get_by_role("tab", name="Compare").get_attribute("aria-selected") == "true"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_every_tab_without_sideways_scrolling(browser, address, scheme):
    options = {"viewport": {"width": 375, "height": 740}, "color_scheme": scheme}
    for key, name in zip(("try", "compare", "run", "check"), NAMES, strict=True):
        with visit(browser, address, f"/?tab={key}", **options) as page:
            page.wait_for_timeout(1000)
            assert page.evaluate("document.documentElement.scrollWidth") <= 376, name
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            light = int(paper.split("(")[1].split(",")[0]) > 128
            assert light == (scheme == "light")


def test_results_are_found_and_filtered(finished_run):
    runs = finished_run.parent
    labels = [found.label for found in find_results(runs)]
    assert "small: synth-heldout, base" in labels
    _, a = chosen(runs, "small: synth-heldout, base")
    _, b = chosen(runs, "small: synth-heldout, step_000004")
    whole = problem_table(a, b, "all")
    parts = [problem_table(a, b, kind) for kind in ("fixed", "broken")]
    assert len(whole) == 20
    assert sum(map(len, parts)) == int((whole["A"] != whole["B"]).sum())


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
