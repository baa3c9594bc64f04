"""The page in a real browser: choose, ask, see both answers with verdicts; nothing from outside."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from app.runs import find_runs
from app.text import badge, to_markdown
from tests.conftest import ROOT, chromium


def serve(runs: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--runs", str(runs), "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        assert process.poll() is None, process.stderr.read()
        try:
            urllib.request.urlopen(address, timeout=5)
            return process, address
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the app did not start")


@pytest.fixture(scope="module")
def address(finished_run):
    process, address = serve(finished_run.parent)
    yield address
    process.send_signal(signal.SIGTERM)
    process.wait(20)


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture
def page(browser, address):
    """A page whose every request is noted; none may leave this machine."""
    page = browser.new_page()
    page.set_default_timeout(90_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#ask")
    page.get_by_label("Right").wait_for()
    page.wait_for_function("document.querySelector('input[aria-label=Right]')?.value != ''")
    yield page
    page.close()
    assert all(u.startswith((address, "data:", "blob:")) for u in asked), asked


def test_two_checkpoints_answer_side_by_side_with_verdicts(page):
    assert page.get_by_label("Left").input_value() == "small: base"
    assert page.get_by_label("Right").input_value() == "small: step 4"
    page.fill("#question textarea", "Tom has 12 apples and finds 5 more. How many apples?")
    page.fill("#gold input, #gold textarea", "17")
    page.click("#ask")
    page.wait_for_selector("#left-verdict .badge", timeout=60_000)
    for side in ("left", "right"):
        answer = page.inner_text(f"#{side}-answer")
        shown = page.inner_text(f"#{side}-verdict")
        assert answer.strip()
        assert ("✓" in shown) == answer.strip().endswith("#### 17")


def test_a_picked_problem_brings_its_reference_answer(page):
    page.click("#dice")
    page.wait_for_function("document.querySelector('#question textarea')?.value?.length > 20")
    assert page.input_value("#gold input, #gold textarea").isdigit()


def test_asking_nothing_says_so_in_words(page):
    page.click("#ask")
    page.get_by_text("type a problem first").wait_for(timeout=20_000)


def test_markup_in_a_question_is_never_run(page):
    page.fill("#question textarea", "<img src=x onerror=\"document.title='owned'\"> How many?")
    page.click("#ask")
    page.wait_for_selector("#left-verdict .badge", timeout=60_000)
    assert page.title() != "owned"


def test_an_empty_folder_says_what_to_do(browser, tmp_path):
    process, address = serve(tmp_path)
    try:
        page = browser.new_page()
        page.goto(address)
        page.get_by_text("No runs here yet").wait_for(timeout=20_000)
        assert "make demo" in page.inner_text("body")
    finally:
        process.kill()
        process.wait()


def test_model_output_becomes_text_and_formulas_never_markup():
    shown = to_markdown("<script>alert(1)</script> ![x](http://a.b/c) [y](javascript:z) *b*")
    assert not set("<>[]()!*") & set(shown)
    assert to_markdown(r"so $x^2$ and \boxed{\frac{1}{2}}").count("$") == 4
    assert "$" not in to_markdown(r"$\href{javascript:alert(1)}{x}$")
    assert "<b>x" not in badge(1, "<b>x", "boxed")


def test_runs_are_found_and_broken_ones_passed_over(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.toml").write_text("not toml")
    [run] = find_runs(tmp_path)
    assert [choice.label for choice in run.choices] == [
        "good: base",
        "good: step 2",
        "good: step 4",
    ]


def test_a_base_that_was_moved_with_its_runs_is_found_beside_them(tmp_path):
    from app.runs import _base

    (tmp_path / "base-seed0").mkdir()
    assert _base("runs/base-seed0", tmp_path / "quickstart") == str(tmp_path / "base-seed0")
    assert _base(str(tmp_path / "base-seed0"), tmp_path / "x") == str(tmp_path / "base-seed0")
    assert _base("Qwen/Qwen2.5-0.5B", tmp_path / "x") == "Qwen/Qwen2.5-0.5B"
