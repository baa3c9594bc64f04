"""`python benchmarks/app.py RUNS [USERS] [SECONDS] [--against CHECKOUT]`: how soon the app answers,
and whom it bears.

RUNS is the folder a demo leaves. In a real Chromium: time to first paint and to the first token,
once warm; time until a run of 2,000 steps and 200,000 rows is open, is searched, and results of 5,000
problems × 16 samples are sorted and filtered, each beside what is wanted. Then three rounds of 20
users for 20 seconds: errors, first token, memory after each. With another checkout, its app has the
same rounds, before and after.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its app.py is not the room
import numpy
import pandas
from playwright.sync_api import Page, sync_playwright

from benchmarks.app_users import QUESTION, measure_crowd, measure_users

STEPS, ROWS = 2_000, 100  # of the large run: rows a step
PROBLEMS = 5_000  # of the large results, 16 samples each
OPEN, SEARCH, TABLE = 2.0, 1.0, 0.5  # seconds that are wanted at most
ROOT = Path(__file__).parents[1]


def make_large_run(run: Path, like: Path) -> None:
    """A run with many steps and rollout rows, in the form of a real one."""
    (run / "rollouts").mkdir(parents=True)
    shutil.copy(like / "config.toml", run / "config.toml")
    lines = [json.loads(line) for line in (like / "metrics.jsonl").read_text().splitlines()]
    rows = pandas.read_parquet(next((like / "rollouts").glob("*.parquet")))
    rows = pandas.concat([rows] * (1 + ROWS // len(rows))).head(ROWS)
    rows.to_parquet(run / "first.parquet")
    with open(run / "metrics.jsonl", "w") as file:
        for step in range(1, STEPS + 1):
            file.write(json.dumps({**lines[step % len(lines)], "step": step}) + "\n")
            shutil.copy(run / "first.parquet", run / "rollouts" / f"step_{step:06d}.parquet")


def make_large_results(run: Path, like: Path) -> None:
    """Two results of many problems, their texts those of a real one."""
    for name, seed in (("base", 0), ("step_000010", 1)):
        samples = pandas.read_parquet(like / "samples.parquet")
        chosen = samples[samples["sample"] == 0]
        rows = chosen.loc[chosen.index.repeat(16)]
        rows = pandas.concat([rows] * (1 + PROBLEMS * 16 // len(rows))).head(PROBLEMS * 16)
        place = numpy.repeat(numpy.arange(PROBLEMS), 16)
        rows["problem"] = [f"p{i:05d}" for i in place]
        rows["sample"] = numpy.tile(numpy.arange(16), PROBLEMS)
        chance = numpy.random.default_rng(0).random(PROBLEMS)[place] * (0.8 + 0.2 * seed)
        rows["reward"] = (numpy.random.default_rng(seed + 5).random(len(rows)) < chance).astype(int)
        folder = run / "eval" / "large" / name
        folder.mkdir(parents=True)
        rows.to_parquet(folder / "samples.parquet", index=False)
        told = json.loads((like / "results.json").read_text())
        told |= {"n_samples": 16, "n_problems": PROBLEMS, "data": "large"}
        (folder / "results.json").write_text(json.dumps(told))


@contextlib.contextmanager
def serve(runs: Path, checkout: Path = ROOT) -> Iterator[tuple[str, int]]:
    """The app of a checkout over some runs: its address and process number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")  # without: no browser of the user opens
    app = subprocess.Popen(
        [sys.executable, "-m", "app", "--runs", runs, "--port", str(port)],
        cwd=checkout,
        env={name: value for name, value in os.environ.items() if name not in displays},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address, timeout=5)
                break
            time.sleep(0.2)
        yield address, app.pid
    finally:
        app.terminate()
        app.wait()


def measure_pages(address: str, large: str) -> None:
    """First paint, first token and the large run, each the median of five, after one to warm up."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        flags = ["--no-sandbox", "--disable-background-networking"]
        page = playwright.chromium.launch(executable_path=path, args=flags).new_page()
        opened = f"{STEPS:,} steps, {STEPS * ROWS:,} rows, page and curves"
        for name, wanted, run in (
            ("first paint", None, lambda: first_paint(page, address)),
            ("first token", None, lambda: first_token(page, address)),
            (opened, OPEN, lambda: curves(page, f"{address}/?tab=run&runs={large}")),
        ):
            run()
            tell(name, float(numpy.median([run() for _ in range(5)])), wanted)
        measure_search(page, address)
        measure_table(page, address)


def tell(name: str, seconds: float, wanted: float | None = None) -> None:
    """Print what was measured, beside what is wanted at most."""
    told = (
        "" if wanted is None else f" (wanted: {wanted:g} s; {'yes' if seconds < wanted else 'NO'})"
    )
    print(f"{name}: {seconds:.2f} s{told}", flush=True)


def first_paint(page: Page, address: str) -> float:
    """Seconds from opening the page to its first content, as the browser reports it."""
    page.goto(address)
    page.wait_for_selector("#ask")
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    page.wait_for_function(f"{paint} > 0")
    return page.evaluate(paint) / 1000


def first_token(page: Page, address: str) -> float:
    """Seconds from the button to the first text of an answer, both checkpoints asked."""
    page.goto(address)
    page.wait_for_function(
        "document.querySelector('input[aria-label=\"Model B\"]')?.value?.length > 0"
    )
    page.fill("#question textarea", QUESTION)
    begun = time.perf_counter()
    page.click("#ask")
    page.wait_for_function("document.querySelector('#a-answer')?.innerText?.trim().length > 0")
    took = time.perf_counter() - begun
    page.wait_for_selector("#b-head .badge")
    return took


def curves(page: Page, address: str) -> float:
    """Seconds from opening the page until a run's curves are drawn."""
    begun = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#run-plots svg")
    page.wait_for_function("document.querySelector('#run-groups')?.innerText.length > 20")
    return time.perf_counter() - begun


def measure_search(page: Page, address: str) -> None:
    """Seconds for a search in all rollouts of the large run, in the open page; prints them."""
    page.goto(f"{address}/?tab=run&runs=large")
    page.wait_for_selector("#run-plots svg")
    page.get_by_role("tab", name="Search all completions").click()
    shown = page.inner_text("#run-hits")
    for word, title, wanted in (
        ("has", "first search, while it is read", None),
        ("gives", "a search", SEARCH),
    ):
        begun = time.perf_counter()
        page.fill("#run-words textarea, #run-words input", word)
        page.click("#run-search")
        page.wait_for_function(
            """([shown, total]) => { const now = document.querySelector('#run-hits').innerText;
              return now != shown && now.includes(total); }""",
            arg=[shown, f"{STEPS * ROWS:,} completions searched"],
        )
        tell(f"{title} in {STEPS * ROWS:,} rows", time.perf_counter() - begun, wanted)
        shown = page.inner_text("#run-hits")


def measure_table(page: Page, address: str) -> None:
    """Seconds to compare the large results, to sort, to filter, to search them; prints them.

    Each from the click or the last key that asks for it until the table shows something else.
    """
    page.set_default_timeout(120_000)
    begun = time.perf_counter()
    page.goto(f"{address}/?tab=compare&a=large:%20large,%20base&b=large:%20large,%20step_000010")
    page.wait_for_selector("#compare-table tr[data-row]")
    title = f"{PROBLEMS:,} problems × 16"
    tell(f"{title}, page and comparison", time.perf_counter() - begun)

    def open_menu() -> None:
        page.click("#compare-kind input")
        page.get_by_role("option", name="broken (B worse)").wait_for()

    def search() -> None:
        page.fill("#compare-words textarea, #compare-words input", "marbles")

    for name, act in (
        ("sorted", lambda: page.get_by_role("button", name="B right").click()),
        ("filtered", lambda: page.get_by_role("option", name="broken (B worse)").click()),
        ("searched", search),
    ):
        if name == "filtered":
            open_menu()
        shown = page.inner_text("#compare-table")
        begun = time.perf_counter()
        act()
        wait_for_change(page, "#compare-table", shown)
        tell(f"{title}, {name}", time.perf_counter() - begun, TABLE)


def wait_for_change(page: Page, selector: str, shown: str) -> None:
    """Until a part of the page shows something else."""
    page.wait_for_function(
        "([selector, shown]) => document.querySelector(selector).innerText != shown",
        arg=[selector, shown],
    )


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("users", type=int, nargs="?", default=20)
    parser.add_argument("seconds", type=float, nargs="?", default=20.0)
    parser.add_argument("--against", type=Path, help="another checkout, whose app is asked too")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        for folder in options.runs.iterdir():
            (shutil.copytree if folder.is_dir() else shutil.copy)(folder, here / folder.name)
        like = next(here.glob("*/metrics.jsonl")).parent
        other = [options.against] if options.against else []
        for checkout in [*other, ROOT, *other]:  # before and after: a machine's load changes
            print(f"the app of {'this checkout' if checkout == ROOT else checkout}:", flush=True)
            with serve(here, checkout) as (address, pid):
                asyncio.run(measure_users(address, pid, options.users, options.seconds))
        make_large_run(here / "large", like)
        make_large_results(here / "large", next(like.glob("eval/*/*/results.json")).parent)
        like.touch()  # the newest: the one the page opens with
        with serve(here) as (address, _):
            measure_pages(address, "large")
            asyncio.run(measure_crowd(address))


if __name__ == "__main__":
    main(sys.argv[1:])
