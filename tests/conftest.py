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
from typing import Any

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, sync_playwright

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # each question to a hub is tried for 45 s
if not os.environ.get("MATHGRPO_TEST_GPU"):  # tests/test_gpu.py says more
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

from tests.shapes import check_rooms

check_rooms()  # before any of them is imported

from common.errors import UserError
from models.fetch import cache_folder, fetch
from tests.fork_server import Command, empty_folder, preload
from train.config import SftConfig, TrainConfig, check_config
from train.run import Run, train
from train.supervised import run_sft

# One worker makes the base model for the first file; the next few need none. Then long files first,
# so that the workers end together.
ORDER = (
    "server smollm2 hostile rewards_properties answers losses rewards data contracts signal ladder survival sampling "
    "app_hostile app_tabs app_access app_guard app_models train algorithm_runs app commands evaluation train_options"
).split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files of tests by `ORDER`; the rest follow as they are. Long ones may take long."""
    place = {f"test_{name}": at for at, name in enumerate(ORDER)}
    items.sort(key=lambda item: place.get(item.path.stem, len(ORDER)))
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1200))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no long test after `MATHGRPO_LONG_UNTIL`, seconds since 1970: their time is up."""
    until = os.environ.get("MATHGRPO_LONG_UNTIL")
    if until and item.get_closest_marker("long") and time.time() > float(until):
        pytest.skip("time for long tests is up")


@pytest.fixture(scope="session", autouse=True)
def _away_from_the_checkout() -> Iterator[None]:
    """Tests start in an empty folder, as do their commands: none sees the user's `runs/`."""
    begun_in = Path.cwd()
    os.chdir(empty_folder())
    yield
    os.chdir(begun_in)


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


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The folder of the model, fetched once and kept in the user's cache."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / "fetch.lock"):
        try:
            return str(fetch("smollm2"))
        except UserError as error:
            pytest.skip(str(error))


def run_settings(folder: Path, base: Path, **sections) -> dict:
    """Settings of a small GRPO run; `sections` override keys."""
    settings = {
        "run": {"dir": str(folder), "steps": 4, "save_every": 2},
        "model": {"path": str(base)},
        "lora": {"rank": 8, "alpha": 16},
        "data": {"train": "synth:train,n=200,levels=1"},
        "sampling": {"backend": "torch", "max_tokens": 24},
        "rollout": {"prompts": 8, "completions": 8},
        "algorithm": {"beta": 0.01},
        "optimizer": {"lr": 1e-3},
    }
    for name, keys in sections.items():
        if name == "algorithm" and "name" in keys:
            settings[name] = keys  # another algorithm has settings of its own
        else:
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
            train(Run(config_of(folder, base, eval=evaluation)))
    return folder


@pytest.fixture
def own_networks_are_toys(monkeypatch):
    """A network of its own, of `rlhf` or a critic, is a toy: toys have no base in a folder."""
    from tests.toys import toy_policy

    monkeypatch.setattr("train.algorithms.critic.own_network", lambda _: toy_policy(seed=1))


def serve(runs: Path, *words: str, **options: Any):
    """The app over a folder of runs, as a process of its own; its address."""
    return serve_as("127.0.0.1", runs, *words, **options)


@contextlib.contextmanager
def serve_as(
    host: str, runs: Path, *words: str, env: Any = None, log: Path | None = None
) -> Iterator[str]:
    """The same, bound to another address of this machine; OSError if it has none.

    `env`: a whole environment, for a process that is started anew instead of forked; `log`: where
    its errors go.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    command = ["app", "--runs", runs, "--host", host, "--port", port, "--no-browser", *words]
    command = [str(word) for word in command]
    if env is None:
        preload("app.page")
        process: Any = Command(*command, error=log)
    else:
        process = subprocess.Popen([sys.executable, "-m", *command], env=env)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, "the app did not start"
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address, timeout=5)
                break
            time.sleep(0.1)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="session")
def address(finished_run):
    """Where the app shows the finished run; one app for all tests that only look."""
    with serve(finished_run.parent) as address:
        yield address


@pytest.fixture(scope="session")
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
        page.get_by_label("Model B").wait_for()
        page.wait_for_function(
            "(document.querySelector('input[aria-label=\"Model B\"]')?.value ?? '') != ''"
        )
        yield page


def tab(page: Page, name: str) -> None:
    """Open a tab of the app."""
    page.get_by_role("tab", name=name, exact=True).click()
