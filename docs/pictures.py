"""`python docs/pictures.py RUNS [smollm2]`: the pictures of the README and the docs.

Needs a Chromium on the PATH. From the runs of `make demo`: app.png (Ask), app_blind.png,
app_check.png, app_phone.png (small and dark), report.png and learning_curve.png. With `smollm2`,
from those of `make demo-real`: app_compare.png, app_evolution.png and app_run.png, and
app_compare_dark.png. The more checkpoints were evaluated on the set, the more Evolution shows.
"""

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from eval.report import save_report
from eval.result import load_result

PORT = 7899
ADDRESS = f"http://127.0.0.1:{PORT}"
SIZE, REAL_SIZE = {"width": 1280, "height": 860}, {"width": 1440, "height": 900}
QUESTION = (  # of the held-out problems; training fixed it
    "Sam has 6 hens that lay 8 eggs each and 5 ducks that lay 8 eggs each. "
    "3 eggs break. How many eggs are whole?"
)
GOLD = "85"
VALUE = "document.querySelector('input[aria-label=\"{name}\"]')?.value"
DOCS = Path(__file__).parent


def main(runs: Path, real: bool) -> None:
    [run, *_] = sorted(runs.glob("smollm2-seed*" if real else "quickstart-seed*"))
    if not real:
        shutil.copy(run / "learning_curve.png", DOCS / "learning_curve.png")
    app = subprocess.Popen(
        [sys.executable, "-m", "app", "--runs", runs, "--port", str(PORT), "--no-browser"]
    )
    try:
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
            )
            page = browser.new_page(viewport=REAL_SIZE if real else SIZE)
            wait_for_app()
            if real:
                photograph_real(page, run.name)
            else:
                photograph_app(page)
                photograph_report(page, run)
            browser.close()
    finally:
        app.terminate()
        app.wait()


def wait_for_app() -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(ADDRESS, timeout=5)
            return
        except OSError:
            time.sleep(0.3)


def photograph_real(page: Page, run: str) -> None:
    """What training changed in a real model, problem by problem, and how it went."""
    page.goto(ADDRESS)
    page.wait_for_selector("#ask")
    tab(page, "Compare")
    page.wait_for_selector("#compare-table tr[data-row]")
    page.get_by_role("button", name="Change").click()
    page.wait_for_selector("th[aria-sort=descending]")
    page.locator("#compare-table tr[data-row]").first.click()
    page.wait_for_selector("#compare-samples .group")
    save(page, "app_compare.png")
    page.emulate_media(color_scheme="dark")
    save(page, "app_compare_dark.png")
    page.emulate_media(color_scheme="light")
    tab(page, "Evolution")
    page.locator("#evolution-map tr[data-row]").nth(1).click()
    page.wait_for_selector("#evolution-problem .stacked")
    save(page, "app_evolution.png")
    page.goto(f"{ADDRESS}/?tab=run&runs={run}&step=40")
    page.wait_for_selector("#run-plots svg")
    page.wait_for_function("document.querySelector('#run-groups')?.innerText.length > 20")
    save(page, "app_run.png")


def photograph_app(page: Page) -> None:
    """Each tab, with something to see in it."""
    page.goto(ADDRESS)
    page.wait_for_function(f"{VALUE.format(name='Model B')}?.includes('step')")
    ask(page)
    page.wait_for_selector("#b-head .badge", timeout=60_000)
    save(page, "app.png")
    tab(page, "Blind test")
    page.click("#blind-start")
    page.wait_for_selector("#pick-left:not([disabled])", timeout=60_000)
    page.click("#pick-right")
    page.wait_for_selector("#blind-told .figures")
    save(page, "app_blind.png")
    tab(page, "Check")
    page.fill("#check-completion textarea", r"First \boxed{3}, no: \boxed{x \in (1, 5]}")
    page.fill("#check-gold textarea, #check-gold input", r"1 < x \le 5")
    page.click("#check-ask")
    page.wait_for_selector("#check-stages .badge")
    save(page, "app_check.png")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(ADDRESS)
    page.wait_for_function(f"{VALUE.format(name='Model B')}?.includes('step')")
    ask(page)
    page.wait_for_selector("#b-head .badge", timeout=60_000)
    page.wait_for_timeout(2000)
    page.screenshot(path=DOCS / "app_phone.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1100, "height": 900})


def ask(page: Page) -> None:
    page.fill("#question textarea", QUESTION)
    page.fill("#gold input, #gold textarea", GOLD)
    page.click("#ask")


def save(page: Page, name: str) -> None:
    """The page as it is, once it is at rest, in few colours: a picture of text stays small."""
    page.wait_for_timeout(1500)
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(300)
    page.screenshot(path=DOCS / name)
    Image.open(DOCS / name).convert("RGB").quantize(128).save(DOCS / name, optimize=True)


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_timeout(700)


def photograph_report(page: Page, run: Path) -> None:
    """The report of base and trained model, as `python -m eval compare --report` writes it."""
    found = sorted(run.glob("eval/*/*/results.json"))
    folders = [found[0].parent, found[-1].parent]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        save_report(report, [load_result(f) for f in folders], [f.name for f in folders])
        page.goto(report.as_uri())
        page.wait_for_timeout(500)
        page.screenshot(path=DOCS / "report.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"), "smollm2" in sys.argv[2:])
