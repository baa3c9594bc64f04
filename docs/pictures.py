"""`python docs/pictures.py RUNS`: the pictures of the README and the docs, made from a demo's runs.

Needs a Chromium on the PATH. Writes app.png (Try it), app_compare.png, app_run.png, app_check.png,
app_phone.png (small and dark), report.png and learning_curve.png beside this file.
"""

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from eval.report import save_report
from eval.result import load_result

PORT = 7899
QUESTION = (  # of the held-out problems; training fixed it
    "Zoe sells 4 marbles for 3 dollars each and 9 hats for 6 dollars each. "
    "How many dollars does Zoe get?"
)
DOCS = Path(__file__).parent


def main(runs: Path) -> None:
    [run, *_] = sorted(runs.glob("quickstart-seed*"))
    shutil.copy(run / "learning_curve.png", DOCS / "learning_curve.png")
    app = subprocess.Popen([sys.executable, "-m", "app", "--runs", runs, "--port", str(PORT)])
    try:
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
            )
            page = browser.new_page(viewport={"width": 1100, "height": 900})
            photograph_app(page)
            photograph_report(page, run)
            browser.close()
    finally:
        app.terminate()
        app.wait()


def photograph_app(page: Page) -> None:
    """Each tab, with something to see in it."""
    address = f"http://127.0.0.1:{PORT}"
    for _ in range(200):
        try:
            urllib.request.urlopen(address, timeout=5)
            break
        except OSError:
            time.sleep(0.3)
    page.goto(address)
    page.wait_for_function(
        "document.querySelector('input[aria-label=Right]')?.value?.includes('step')"
    )
    page.fill("#question textarea", QUESTION)
    page.fill("#gold input, #gold textarea", "66")
    page.check("#colours input")
    page.click("#ask")
    page.wait_for_selector("#right-tokens .tokens", timeout=60_000)
    page.wait_for_timeout(1000)
    page.screenshot(path=DOCS / "app.png", full_page=True)
    tab(page, "Compare")
    page.click("#compare-ask")
    page.wait_for_selector("#compare-plot img")
    page.wait_for_timeout(2000)
    page.screenshot(path=DOCS / "app_compare.png", full_page=True)
    tab(page, "Run")
    page.get_by_label("number input for Step").fill("150")
    page.keyboard.press("Enter")
    page.wait_for_selector("#run-plot img")
    page.wait_for_timeout(2000)
    page.screenshot(path=DOCS / "app_run.png", full_page=True)
    tab(page, "Check")
    page.fill("#check-completion textarea", r"First \boxed{3}, no: \boxed{x \in (1, 5]}")
    page.fill("#check-gold textarea, #check-gold input", r"1 < x \le 5")
    page.click("#check-ask")
    page.wait_for_selector("#check-steps .badge")
    page.screenshot(path=DOCS / "app_check.png", full_page=True)
    page.set_viewport_size({"width": 375, "height": 740})
    page.emulate_media(color_scheme="dark")
    page.goto(address)
    page.wait_for_selector("#ask")
    page.fill("#question textarea", QUESTION)
    page.fill("#gold input, #gold textarea", "66")
    page.click("#many")
    page.wait_for_selector("#right-verdict .votes", timeout=60_000)
    page.wait_for_timeout(1000)
    page.screenshot(path=DOCS / "app_phone.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1100, "height": 900})


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
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
