"""`python benchmarks/app.py RUNS [USERS] [SECONDS]`: how soon the app answers, and whom it bears.

RUNS is the folder a demo leaves. In a real Chromium: time to first paint and to the first token,
once warm; time until the curves of a run with 2,000 steps and 200,000 rollout rows are drawn. Then
20 users at once for 60 seconds, one in four leaving in mid-stream: answers, errors, seconds to the
first token, memory before and after; and a crowd of 60, of whom the queue's limit refuses some.
"""

import asyncio
import contextlib
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its app.py is not the room

import httpx
import numpy
import pandas
from playwright.sync_api import Page, sync_playwright

STEPS, ROWS = 2_000, 100  # of the large run: rows a step
QUESTION = "Tom has 12 apples, finds 5 more and gives 3 to Ann. How many apples does Tom have?"
CROWD = 60


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


@contextlib.contextmanager
def serve(runs: Path) -> Iterator[tuple[str, int]]:
    """The app over some runs: its address and process number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = subprocess.Popen([sys.executable, "-m", "app", "--runs", runs, "--port", str(port)])
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
        runs = {
            "first paint": lambda: first_paint(page, address),
            "first token": lambda: first_token(page, address),
            f"{STEPS:,} steps, {STEPS * ROWS:,} rows, page and curves": lambda: curves(
                page, f"{address}/?tab=run&runs={large}"
            ),
        }
        for name, run in runs.items():
            run()
            print(f"{name}: {numpy.median([run() for _ in range(5)]):.2f} s", flush=True)


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
    page.wait_for_function("document.querySelector('input[aria-label=Right]')?.value?.length > 0")
    page.fill("#question textarea", QUESTION)
    begun = time.perf_counter()
    page.click("#ask")
    page.wait_for_function("document.querySelector('#left-answer')?.innerText?.trim().length > 0")
    took = time.perf_counter() - begun
    page.wait_for_selector("#right-verdict .badge")
    return took


def curves(page: Page, address: str) -> float:
    """Seconds from opening the page until a run's curves are drawn."""
    begun = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#run-plot img")
    page.wait_for_function("document.querySelector('#run-completions')?.innerText.length > 20")
    return time.perf_counter() - begun


class Users:
    """People at the page: what they were answered."""

    def __init__(self, address: str):
        self.client = httpx.AsyncClient(base_url=f"{address}/gradio_api", timeout=120)
        self.first: list[float] = []
        self.done, self.left, self.refused = 0, 0, 0
        self.errors: list[str] = []

    async def prepare(self) -> None:
        self.labels = await self.call("checkpoints", [])

    async def call(self, name: str, data: list) -> list:
        event = (await self.client.post(f"/call/{name}", json={"data": data})).json()["event_id"]
        reply = await self.client.get(f"/call/{name}/{event}")
        return json.loads(reply.text.split("data: ")[-1])[0]

    async def ask(self, leave: bool) -> None:
        """Ask two checkpoints, as the page does; or close the connection in mid-stream."""
        begun, seen = time.perf_counter(), 0
        labels = [self.labels[0], self.labels[-1]]
        data = [f"{QUESTION} ({uuid.uuid4().hex[:4]})", labels, "14", 0.0, 0]
        try:
            reply = await self.client.post("/call/answers", json={"data": data})
            if reply.status_code == 503:
                self.refused += 1
                return
            event = reply.raise_for_status().json()["event_id"]
            async with self.client.stream("GET", f"/call/answers/{event}") as stream:
                async for line in stream.aiter_lines():
                    if line == "event: error":
                        self.errors.append("error event")
                    if line.startswith("data: [") and not seen:
                        self.first.append(time.perf_counter() - begun)
                    seen += line.startswith("data: [")
                    if leave and seen > 5:
                        self.left += 1
                        return
            self.done += 1
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    async def stay(self, seconds: float) -> None:
        """One user: asks, reads for a moment, asks again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.ask(leave=random.random() < 0.25)
            await asyncio.sleep(random.random())


async def measure_users(address: str, pid: int, users: int, seconds: float) -> None:
    """Many users at once, then a crowd larger than the queue; prints what became of them."""
    here = Users(address)
    await here.prepare()
    await asyncio.gather(*(here.stay(5) for _ in range(users)))  # warm
    before = memory(pid)
    here.done, here.left, here.refused, here.first = 0, 0, 0, []
    await asyncio.gather(*(here.stay(seconds) for _ in range(users)))
    await asyncio.sleep(2)
    low, high = numpy.percentile(here.first, [50, 95])
    print(
        f"{users} users for {seconds:.0f} s: {here.done} answered, {here.left} left in mid-stream, "
        f"{here.refused} refused, {len(here.errors)} errors {here.errors[:3]}; first token "
        f"{low:.2f} s (median), {high:.2f} s (95%); memory {before:.0f} MiB before, "
        f"{memory(pid):.0f} MiB after",
        flush=True,
    )
    crowd = Users(address)
    await crowd.prepare()
    await asyncio.gather(*(crowd.ask(leave=False) for _ in range(CROWD)))
    print(
        f"a crowd of {CROWD}: {crowd.done} answered, {crowd.refused} told that the queue is full, "
        f"{len(crowd.errors)} errors {crowd.errors[:3]}"
    )
    begun = time.perf_counter()
    await crowd.ask(leave=False)
    print(f"one more afterwards: answered in {time.perf_counter() - begun:.2f} s")


def memory(pid: int) -> float:
    """Resident memory of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main(runs: str, users: str = "20", seconds: str = "60") -> None:
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        for folder in Path(runs).iterdir():
            (shutil.copytree if folder.is_dir() else shutil.copy)(folder, here / folder.name)
        like = next(here.glob("*/metrics.jsonl")).parent
        make_large_run(here / "large", like)
        like.touch()  # the newest: the one the page opens with
        with serve(here) as (address, pid):
            measure_pages(address, "large")
            asyncio.run(measure_users(address, pid, int(users), float(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
