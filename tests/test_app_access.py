"""For every screen and everybody: three sizes, light and dark, the keyboard alone, axe-core."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import tab, visit

SIZES = [(1440, 900), (1024, 768), (390, 844)]
TABS = ["ask", "compare", "evolution", "blind", "run", "check"]
QUESTION = "Tom has 12 apples and finds 5 more. How many apples?"
AXE = "axe-core@4.10.3"
CHOSEN = """document.querySelector('input[aria-label="Model B"]')?.value?.includes('step')"""
DONE = "document.querySelectorAll('#a-head .badge, #b-head .badge').length == 2"


@pytest.fixture(scope="session")
def axe(shared_folder) -> str:
    """axe-core's script, from the npm registry, kept in the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    kept = home / "mathgrpo-tests" / f"{AXE}.js"
    if not kept.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed here: axe-core cannot be fetched")
        packed = subprocess.run(
            [npm, "pack", AXE], cwd=shared_folder, capture_output=True, text=True, timeout=120
        )
        if packed.returncode:
            pytest.skip(f"npm cannot fetch {AXE}: {packed.stderr.strip()[-200:]}")
        archive = packed.stdout.split()[-1]
        subprocess.run(["tar", "xzf", archive, "package/axe.min.js"], cwd=shared_folder, check=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared_folder / "package" / "axe.min.js", kept)
    return kept.read_text(encoding="utf-8")


def faults(page, axe) -> list[str]:
    """The serious and critical faults axe finds in the page as it is."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def in_view(page, selector) -> bool:
    return page.evaluate(
        """(selector) => {
          const box = document.querySelector(selector).getBoundingClientRect();
          return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
        }""",
        selector,
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_answers_are_in_view_when_they_end(browser, address, size):
    """After the one primary button, without scrolling; and nothing is wider than the screen."""
    screen = {"width": size[0], "height": size[1]}
    with visit(browser, address, viewport=screen) as page:
        page.wait_for_function(CHOSEN)
        page.fill("#question textarea", QUESTION)
        page.fill("#gold input, #gold textarea", "17")
        assert in_view(page, "#ask")
        page.click("#ask")
        page.wait_for_function(DONE)
        page.wait_for_timeout(1700)
        for part in ("#a-head", "#b-head", "#a-answer", "#b-answer"):
            assert in_view(page, part), part
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        (SIZES[2], "dark"),
        *[
            pytest.param(size, scheme, marks=pytest.mark.long)
            for size in SIZES
            for scheme in ("light", "dark")
            if (size, scheme) != (SIZES[2], "dark")
        ],
    ],
    ids=str,
)
def test_no_tab_has_a_serious_fault_or_scrolls_sideways(browser, address, axe, size, scheme):
    screen = {"width": size[0], "height": size[1]}
    wrong = []
    for name in TABS:
        query = f"/?tab={name}&runs=small"
        with visit(browser, address, query, viewport=screen, color_scheme=scheme) as page:
            page.wait_for_timeout(1500)
            if name == "ask":
                page.wait_for_function(CHOSEN)
                page.fill("#question textarea", QUESTION)
                page.fill("#gold input, #gold textarea", "17")
                page.click("#ask")
                page.wait_for_function(DONE)
                page.click("#settings-button")
                page.wait_for_timeout(500)
            if name in ("compare", "evolution"):
                box = "compare-table" if name == "compare" else "evolution-map"
                page.wait_for_selector(f"#{box} tr[data-row]")
                page.locator(f"#{box} tr[data-row]").first.click()
                page.wait_for_timeout(1000)
            if name == "check":
                page.fill("#check-completion textarea", r"\boxed{5}")
                page.fill("#check-gold textarea, #check-gold input", "5")
                page.click("#check-ask")
                page.wait_for_selector("#check-stages .badge")
            wrong += [f"{name}: {fault}" for fault in faults(page, axe)]
            if page.evaluate("document.documentElement.scrollWidth") > size[0]:
                wrong.append(f"{name} scrolls sideways")
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (int(paper.split("(")[1].split(",")[0]) > 128) == (scheme == "light")
    assert not wrong, "\n".join(wrong)


def test_a_message_and_the_log_in_have_no_serious_fault(browser, address, axe, finished_run):
    from tests.conftest import serve

    with visit(browser, address) as page:
        page.wait_for_function(CHOSEN)
        page.click("#ask")
        page.get_by_text("type a problem first").wait_for()
        page.wait_for_timeout(600)
        assert faults(page, axe) == []
    with serve(finished_run.parent, "--auth", "ann:right-word") as locked:
        page = browser.new_page()
        page.goto(locked)
        page.get_by_role("button", name="Login").wait_for()
        assert faults(page, axe) == []
        page.close()


def test_everything_can_be_done_by_keyboard(page):
    keys = page.keyboard
    page.locator("#ask-note, h1").first.click()
    keys.press("/")
    keys.type(QUESTION)
    keys.press("Tab")
    keys.type("17")
    keys.press("Shift+Tab")
    keys.press("Enter")
    page.wait_for_function(DONE)
    page.locator("h1").click()
    keys.press("?")
    page.wait_for_selector("dialog#shortcuts[open]")
    keys.press("Escape")
    page.wait_for_selector("dialog#shortcuts:not([open])", state="attached")
    keys.press("s")
    page.wait_for_selector("#settings-button[aria-expanded=true]")
    keys.press("t")
    page.wait_for_selector("body.dark")
    keys.press("t")
    keys.press("2")
    page.wait_for_selector("#compare-table tr[data-row]")
    page.locator("#compare-table [data-sort=b]").focus()
    keys.press("Enter")
    page.wait_for_selector("#compare-table th[aria-sort=descending]")
    page.locator("#compare-table tr[data-row]").first.focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    keys.press("ArrowDown")
    keys.press("Enter")
    page.wait_for_selector("#compare-samples .group")
    for number, name in ((3, "Evolution"), (4, "Blind test"), (5, "Training"), (6, "Check")):
        page.locator("h1").click()
        keys.press(str(number))
        page.wait_for_selector(f"[role=tab][aria-selected=true]:has-text('{name}')")


def test_a_typed_problem_is_not_overwritten_by_keys(page):
    page.fill("#question textarea", "")
    page.locator("#question textarea").press_sequentially("My own problem")
    page.locator("h1").click()
    for key in ("ArrowRight", "ArrowLeft", "Alt+ArrowRight", "Control+ArrowLeft"):
        page.keyboard.press(key)
    tab(page, "Check")
    page.locator("h1").click()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)
    tab(page, "Ask")
    assert page.input_value("#question textarea") == "My own problem"


def test_enter_while_an_input_method_composes_asks_nothing(page):
    page.fill("#question textarea", "\u6570")
    page.evaluate(
        """() => document.querySelector('#question textarea').dispatchEvent(new KeyboardEvent(
          'keydown', {key: 'Enter', bubbles: true, isComposing: true, keyCode: 229}))"""
    )
    page.wait_for_timeout(1500)
    assert "answer" not in page.inner_text("#a-head")


def test_an_emptied_seed_and_a_step_too_large_are_told_in_words(page):
    page.click("#settings-button")
    page.fill("#seed input", "")
    page.keyboard.press("Tab")
    page.fill("#question textarea", QUESTION)
    page.click("#ask")
    page.get_by_text("the seed must be a number between").wait_for()
