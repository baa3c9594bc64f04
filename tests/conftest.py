"""What the tests share: a tiny base model trained on the spot, and a real run on it."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import sync_playwright

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from train.config import SftConfig, TrainConfig, check_config
from train.grpo import GrpoRun
from train.sft import run_sft

ROOT = Path(__file__).parent.parent


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


@pytest.fixture(scope="session")
def finished_run(shared_folder, base) -> Path:
    """A finished GRPO run of four steps with checkpoints and an evaluation."""
    folder = shared_folder / "runs" / "small"
    settings = run_settings(
        folder, base, eval={"data": "synth:heldout,n=20,levels=1", "every": 4, "n": 2}
    )
    with FileLock(shared_folder / "run.lock"):
        if not folder.exists():
            GrpoRun(check_config(TrainConfig, settings, where="test")).train()
    return folder


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


def command(*words: str | Path, timeout: float = 120) -> subprocess.CompletedProcess:
    """Run one of the project's commands, as a user would."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
