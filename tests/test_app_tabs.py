"""The other tabs in a real browser: compare, evolution, watch a run, check an answer."""

import shutil

import pandas

from app.problem_table import KINDS, Filters, problem_table
from app.results import find, find_results
from app.runs import Library
from tests.conftest import serve, tab, visit

NAMES = ["Ask", "Compare", "Evolution", "Blind test", "Training", "Check"]
READY = "document.querySelector('#compare-table')?.innerText?.includes('synth-heldout-')"


def rows(page):
    return page.eval_on_selector_all(
        "#compare-table tr[data-row]", "(rows) => rows.map((one) => one.dataset.row)"
    )


def test_compare_shows_the_difference_the_curves_and_the_problems(page):
    tab(page, "Compare")  # what is chosen is compared at once
    page.wait_for_function(READY)
    head = page.inner_text("#compare-head")
    assert "B − A" in head
    assert "p value" in head
    assert page.locator("#compare-plots svg").count() >= 1
    page.locator("#compare-table tr[data-row]").first.click()
    page.wait_for_selector("#compare-samples .group")
    assert "Correct answer" in page.inner_text("#compare-question")
    assert page.locator("#compare-diff .diff").count() == 1
    before = page.inner_html("#compare-diff")
    page.click("#sample-a input")
    page.locator("[role=option]:visible").nth(1).click()
    page.wait_for_timeout(1500)
    assert page.inner_html("#compare-diff") != before or "2:" in page.input_value("#sample-a input")


def test_compare_filters_sorts_and_searches_its_table(page, finished_run):
    library = Library(finished_run.parent)
    a, b = (find(library, f"small: synth-heldout, {x}") for x in ("base", "step_000004"))
    tab(page, "Compare")
    page.wait_for_function(READY)
    for kind, name in (("wrong", KINDS["wrong"]), ("right", KINDS["right"])):
        wanted = problem_table(a, b, Filters(kind=kind))["problem"].tolist()
        page.click("#compare-kind input")
        page.get_by_role("option", name=name, exact=True).click()
        page.wait_for_function(
            """(wanted) => JSON.stringify(wanted) == JSON.stringify(
                [...document.querySelectorAll('#compare-table tr[data-row]')]
                .map((one) => one.dataset.row))""",
            arg=wanted,
        )
    page.click("#compare-kind input")
    page.get_by_role("option", name=KINDS["all"], exact=True).click()
    page.wait_for_function("document.querySelectorAll('#compare-table tr[data-row]').length == 20")
    page.get_by_role("button", name="B right").click()
    page.wait_for_selector("#compare-table th[aria-sort=descending]")
    assert rows(page) == problem_table(a, b, Filters(), ("b", True))["problem"].tolist()
    word = problem_table(a, b, Filters())["question"].iloc[3].split()[0]
    page.fill("#compare-words textarea, #compare-words input", word)
    wanted = problem_table(a, b, Filters(words=word), ("b", True))["problem"].tolist()
    page.wait_for_function(
        f"document.querySelectorAll('#compare-table tr[data-row]').length == {len(wanted)}"
    )
    assert rows(page) == wanted


def test_the_map_of_problems_and_checkpoints_equals_the_results_files(page, finished_run):
    tab(page, "Evolution")
    page.wait_for_selector("#evolution-map tr[data-row]")
    shown = page.eval_on_selector_all(
        "#evolution-map tr[data-row]",
        "(rows) => rows.map((r) => [r.dataset.row, ...[...r.querySelectorAll('td')]"
        ".map((c) => Number(c.innerText))])",
    )
    files = sorted(finished_run.glob("eval/synth-heldout/*/samples.parquet"))
    assert [f.parent.name for f in files] == ["base", "step_000004"]
    rates = [pandas.read_parquet(f).groupby("problem")["reward"].mean() for f in files]
    assert {row[0]: row[1:] for row in shown} == {
        problem: [round(100 * r[problem]) for r in rates] for problem in rates[0].index
    }
    page.locator("#evolution-map tr[data-row]").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#evolution-problem .stacked")
    assert page.locator("#evolution-problem details").count() == 2
    assert page.locator("#evolution-problem svg[role=img]").get_attribute("aria-label")


def test_every_checkpoint_can_be_asked_a_problem_of_ones_own(page):
    tab(page, "Evolution")
    page.get_by_role("button", name="Ask every checkpoint of a run").click()
    page.fill("#live-question textarea, #live-question input", "Tom has 2 pens and finds 3.")
    page.click("#live")
    page.wait_for_function(
        "document.querySelector('#live-progress')?.innerText.includes('3 of 3 checkpoints asked')"
    )
    assert page.locator("#live-result .stacked").count() == 3


def test_a_run_shows_curves_that_grow_while_it_trains(browser, finished_run, tmp_path):
    """The metrics come line by line, as training writes them, while the page is open."""
    folder = tmp_path / "growing"
    shutil.copytree(finished_run, folder)
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:1]))
    with serve(tmp_path) as address, visit(browser, address, "/?tab=run") as page:
        pictures = []
        for step in (1, 2, 3):
            page.wait_for_function(
                "(text) => document.querySelector('#run-state')?.innerText.includes(text)",
                arg=f"growing: step {step}",
            )
            page.wait_for_timeout(300)
            pictures.append(page.inner_html("#run-plots"))
            with open(folder / "metrics.jsonl", "a") as file:
                file.write(lines[step])
        assert len(set(pictures)) == 3


def test_a_run_shows_the_groups_of_a_step_and_its_configuration(page, finished_run):
    tab(page, "Training")
    page.wait_for_function("document.querySelector('#run-groups')?.innerText.includes('advantage')")
    before = page.inner_text("#run-groups")
    page.fill("#run-step input", "3")
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('#run-groups').innerText != {before!r}")
    stored = pandas.read_parquet(finished_run / "rollouts" / "step_000003.parquet")
    said = f"advantage {stored.iloc[0]['advantage']:+.2f}"
    page.locator("#run-groups summary").first.filter(has_text=said).wait_for()
    shown = page.eval_on_selector_all(
        "#run-groups summary", "(all) => all.map((one) => one.innerText)"
    )
    first = stored.iloc[0]
    assert f"advantage {first['advantage']:+.2f}" in shown[0]
    page.check("#run-colours input")
    page.wait_for_selector("#run-groups .tokens span[title*=after]")
    page.fill("#run-step input", "170")  # more steps than there are
    page.keyboard.press("Enter")
    page.get_by_text("no rollouts of step 170 were kept").wait_for()
    page.get_by_role("tab", name="Configuration").click()
    page.get_by_text("= 8").first.wait_for()


def test_all_completions_of_a_run_can_be_searched(page, finished_run):
    tab(page, "Training")
    page.get_by_role("tab", name="Search all completions").click()
    page.fill("#run-words textarea, #run-words input", "####")
    page.click("#run-search")
    page.wait_for_selector("#run-hits tr[data-row]")
    files = finished_run.glob("rollouts/*.parquet")
    every = pandas.concat([pandas.read_parquet(f) for f in files])
    found = int(every["completion"].str.contains("####").sum())
    assert f"{found:,} completions found" in page.inner_text("#run-hits")
    assert f"{len(every):,} completions searched" in page.inner_text("#run-hits")
    page.locator("#run-hits tr[data-row]").first.click()
    page.wait_for_selector("#run-hit details[open]")


def test_check_shows_each_stage_of_a_verdict(page):
    tab(page, "Check")
    page.fill("#check-completion textarea", r"so \boxed{\frac{1}{2}} <b id=owned>")
    page.fill("#check-gold textarea, #check-gold input", "0.5")
    page.click("#check-ask")
    page.wait_for_selector("#check-stages .badge.right")
    assert page.locator("#check-stages li").count() == 4
    assert "boxed" in page.inner_text("#check-stages")
    assert page.locator("#owned").count() == 0


def test_an_address_brings_a_tab_and_its_choices_back(browser, address):
    view = "/?tab=run&runs=small&step=3"
    with visit(browser, address, view) as page:
        page.wait_for_function("document.querySelector('#run-groups')?.innerText.includes('right')")
        assert page.locator("#run-plots svg").first.is_visible()
        assert page.input_value("#run-step input") == "3"


def test_back_and_forward_move_between_tabs_and_stay_in_the_app(page):
    for name in ("Compare", "Check"):
        tab(page, name)
        page.wait_for_function(f"location.search.includes('tab={name.lower()}')")
    page.go_back()
    page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Compare')")
    page.go_back()
    page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Ask')")
    page.go_forward()
    page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Compare')")


def test_dragging_over_a_curve_shows_a_part_of_it_and_a_double_click_all(page):
    tab(page, "Training")
    chart = page.locator("#run-plots .chart").first
    chart.wait_for()
    whole = chart.get_attribute("data-x1")
    box = chart.locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40)
    page.mouse.up()
    page.wait_for_function(
        f"Number(document.querySelector('#run-plots .chart').dataset.x1) < {whole}"
    )
    chart.locator("svg").dblclick()
    page.wait_for_function(
        f"Number(document.querySelector('#run-plots .chart').dataset.x1) == {whole}"
    )


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


def test_results_are_found_and_filtered(finished_run):
    library = Library(finished_run.parent)
    labels = [found.label for found in find_results(library)]
    assert labels[:2] == ["small: synth-heldout, base", "small: synth-heldout, step_000004"]
    a, b = (find(library, label) for label in labels[:2])
    whole = problem_table(a, b, Filters())
    parts = [problem_table(a, b, Filters(kind=kind)) for kind in ("fixed", "broken")]
    assert len(whole) == 20
    assert sum(map(len, parts)) == int((whole["a"] != whole["b"]).sum())
