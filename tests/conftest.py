"""What the tests share: a tiny base model trained on the spot, a real run on it, the app, a browser."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, sync_playwright

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tests.nursery import ROOT
from train.config import SftConfig, TrainConfig, check_config
from train.run import TrainRun
from train.supervised import run_sft

# One worker makes the base model for the first file; the next few need none. Then long files first,
# so that the workers end together.
ORDER = (
    "server hostile rewards_properties answers losses rewards data contracts survival sampling "
    "app_hostile app_tabs train algorithm_runs app commands evaluation train_options"
).split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files of tests by `ORDER`; the rest follow as they are."""
    place = {f"test_{name}": at for at, name in enumerate(ORDER)}
    items.sort(key=lambda item: place.get(item.path.stem, len(ORDER)))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all workers of this test run share."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session")
def base(shared_folder) -> Path:
    """A tiny base model that gets some one-step problems right; made by the first to need it."""
    folder = shared_folder / "base"
    settings = {
        "run": {"out": str(folder), "steps": 260},
        "model": {"scratch": "tiny"},
        "data": {"train": "synth:train,n=6000,levels=1,slip_rate=0.35", "batch": 32},
        "optimizer": {"lr": 3e-3, "matrix_lr": 6e-3, "schedule": "linear", "warmup_steps": 10},
    }
    with FileLock(shared_folder / "base.lock"):
        if not folder.exists():
            run_sft(check_config(SftConfig, settings, where="test"))
    return folder


def run_settings(folder: Path, base: Path, **sections) -> dict:
    """Settings of a small GRPO run; `sections` override keys."""
    settings = {
        "run": {"dir": str(folder), "steps": 4, "save_every": 2},
        "model": {"path": str(base)},
        "lora": {"rank": 8, "alpha": 16},
        "data": {"train": "synth:train,n=200,levels=1"},
        "sampler": {"backend": "torch", "max_tokens": 24},
        "grpo": {"prompts": 8, "completions": 8, "beta": 0.01},
        "optimizer": {"lr": 1e-3},
    }
    for name, keys in sections.items():
        settings.setdefault(name, {}).update(keys)
    return settings


def config_of(folder: Path, base: Path, **sections) -> TrainConfig:
    """The configuration of a small GRPO run."""
    return check_config(TrainConfig, run_settings(folder, base, **sections), where="test")


@pytest.fixture(scope="session")
def finished_run(shared_folder, base) -> Path:
    """A finished GRPO run of four steps with checkpoints and an evaluation."""
    folder = shared_folder / "runs" / "small"
    evaluation = {"data": "synth:heldout,n=20,levels=1", "every": 4, "n": 2}
    with FileLock(shared_folder / "run.lock"):
        if not folder.exists():
            TrainRun(config_of(folder, base, eval=evaluation)).train()
    return folder


@contextlib.contextmanager
def serve(runs: Path, *words: str) -> Iterator[str]:
    """The app over a folder of runs, as a process of its own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--runs", str(runs), "--port", str(port), *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None, "the app did not start"
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address, timeout=5)
                break
            time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="module")
def address(finished_run):
    """Where the app shows the finished run."""
    with serve(finished_run.parent) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    """A real Chromium."""
    with chromium() as one:
        yield one


@contextlib.contextmanager
def chromium():
    """A real browser; skips the test where none is installed."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed here")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@contextlib.contextmanager
def visit(browser: Browser, address: str, query: str = "", **options) -> Iterator[Page]:
    """A page of the app whose every request is noted: none may leave this machine."""
    page = browser.new_page(**options)
    page.set_default_timeout(90_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + query)
    page.wait_for_selector("#ask", state="attached")
    yield page
    page.close()
    assert asked
    assert all(u.startswith((address, "data:", "blob:")) for u in asked), asked


@pytest.fixture
def page(browser, address):
    """The app in the browser, its checkpoints listed."""
    with visit(browser, address) as page:
        page.get_by_label("Right").wait_for()
        page.wait_for_function(
            "(document.querySelector('input[aria-label=Right]')?.value ?? '') != ''"
        )
        yield page


def tab(page: Page, name: str) -> None:
    """Open a tab of the app."""
    page.get_by_role("tab", name=name, exact=True).click()
