"""`python docs/pictures.py RUNS`: the pictures of the README, made from a demo's runs.

Needs a Chromium on the PATH. Writes docs/app.png and docs/learning_curve.png.
"""

import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

PORT = 7899
QUESTION = "Sam has 9 trays of 4 marbles and 12 loose marbles. How many marbles does Sam have?"


def main(runs: Path) -> None:
    docs = Path(__file__).parent
    [curve, *_] = sorted(runs.glob("quickstart-seed*/learning_curve.png"))
    shutil.copy(curve, docs / "learning_curve.png")
    app = subprocess.Popen([sys.executable, "-m", "app", "--runs", runs, "--port", str(PORT)])
    try:
        photograph(docs / "app.png")
    finally:
        app.terminate()
        app.wait()


def photograph(path: Path) -> None:
    """Ask both checkpoints one question and take the picture."""
    address = f"http://127.0.0.1:{PORT}"
    for _ in range(100):
        try:
            urllib.request.urlopen(address, timeout=5)
            break
        except OSError:
            time.sleep(0.3)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 860})
        page.goto(address)
        page.wait_for_function(
            "document.querySelector('input[aria-label=Right]')?.value.includes('step')"
        )
        page.fill("#question textarea", QUESTION)
        page.fill("#gold input, #gold textarea", "48")
        page.click("#ask")
        page.wait_for_selector("#right-verdict .badge", timeout=60_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
