"""The examples do what their first lines say."""

import re
import runpy
import subprocess
import sys
from statistics import mean

import pytest

from tests.fork_server import ROOT

FILE = ROOT / "examples" / "grpo_in_one_file.py"


def test_grpo_in_one_file_runs(base):
    words = [sys.executable, FILE, "--base", base, "--steps", "8"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    rewards = [float(x) for x in re.findall(r"mean reward (\d\.\d+)", done.stdout)]
    assert len(rewards) == 8
    assert all(0 < reward < 1 for reward in rewards)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grpo_in_one_file_learns_from_every_seed(base, seed):
    rewards = runpy.run_path(str(FILE))["train"](base, 100, seed)
    assert mean(rewards[-20:]) > mean(rewards[:20]) + 0.05


def test_grpo_in_one_file_is_short_enough_to_be_read():
    assert len(FILE.read_text().splitlines()) <= 130
