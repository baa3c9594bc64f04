"""Killed, ended, damaged, resumed otherwise: a run goes on as if nothing had been, or says why not."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from common.errors import UserError
from common.files import write_text
from tests.conftest import config_of
from tests.fork_server import Command, command
from train.config import TrainConfig, load_config, to_toml
from train.records.checkpoint import latest_checkpoint
from train.records.metrics import read_metrics
from train.run import Run, train


def without_times(metrics):
    timed = ("time/", "tokens_per_s", "memory")
    return [{k: v for k, v in line.items() if not k.startswith(timed)} for line in metrics]


def being_written(run):
    """Whether a checkpoint of the run is half-way to the disk."""
    return any((run / "checkpoints").glob(".*.tmp"))


def train_until_killed(config):
    """Train in a process; SIGKILL it in the step after the first that is logged."""
    run = Path(config.run.dir)
    path = run.with_suffix(".toml")
    write_text(path, to_toml(config))
    process = Command("train", path)
    while process.poll() is None and not read_metrics(run):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.error.read_text()


@pytest.mark.timeout(600)
def test_a_run_killed_again_and_again_ends_as_the_uninterrupted_one(base, tmp_path):
    steps = {"steps": 30, "save_every": 2, "save_rollouts": False}
    sections = {
        "rollout": {"dynamic_sampling": True, "max_draws": 2, "curriculum": "weight"},
        "algorithm": {"reference_every": 8},
    }
    whole = config_of(tmp_path / "whole", base, run=steps, **sections)
    write_text(tmp_path / "run.toml", to_toml(whole))

    def start(folder, *more):
        return Command("train", tmp_path / "run.toml", "--run.dir", folder, *more)

    together = start(tmp_path / "whole")
    draw = random.Random(0)
    killed = tmp_path / "killed"
    in_mid_checkpoint = 0
    for kill in range(5):
        process = start(killed, *(["--resume"] if kill else []))
        marks = len(read_metrics(killed)) + 3
        while process.poll() is None and len(read_metrics(killed)) < marks:
            time.sleep(0.02)
        if kill % 2:
            time.sleep(draw.random() * 0.5)
        else:
            while process.poll() is None and not being_written(killed):
                time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        in_mid_checkpoint += being_written(killed)
    last = start(killed, "--resume")
    assert last.wait() == 0, last.error.read_text()
    assert in_mid_checkpoint, "no kill hit a checkpoint being written"
    assert together.wait() == 0
    ours, theirs = read_metrics(killed), read_metrics(tmp_path / "whole")
    assert [line["step"] for line in ours] == list(range(1, 31))
    assert without_times(ours) == without_times(theirs)
    a, b = (
        load_file(run / "checkpoints" / "step_000030" / "adapter_model.safetensors")
        for run in (killed, tmp_path / "whole")
    )
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_sigterm_finishes_the_step_saves_and_says_how_to_go_on(base, tmp_path):
    config = config_of(tmp_path / "r", base, run={"steps": 500, "save_every": 500})
    write_text(tmp_path / "run.toml", to_toml(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "train", str(tmp_path / "run.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not read_metrics(tmp_path / "r"):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "--resume" in out
    last = read_metrics(tmp_path / "r")[-1]["step"]
    assert latest_checkpoint(tmp_path / "r").name == f"step_{last:06d}"


def test_a_damaged_checkpoint_is_passed_over_with_a_word(base, tmp_path, capsys):
    train(Run(config_of(tmp_path / "r", base)))
    newest = latest_checkpoint(tmp_path / "r")
    weights = newest / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert latest_checkpoint(tmp_path / "r").name == "step_000002"
    assert "damaged" in capsys.readouterr().err


def test_resuming_with_other_settings_is_refused_and_named(finished_run, base):
    config = load_config(TrainConfig, finished_run / "config.toml", ["--optimizer.lr", "0.5"])
    with pytest.raises(UserError, match=r"optimizer\.lr was 0\.001, now 0\.5"):
        Run(config, resume=True)
    with pytest.raises(UserError, match="already holds a run"):
        Run(load_config(TrainConfig, finished_run / "config.toml"))


def test_a_run_killed_before_its_first_checkpoint_is_resumed_from_its_beginning(base, tmp_path):
    steps = {"steps": 3, "save_every": 3}
    train(Run(config_of(tmp_path / "whole", base, run=steps)))
    train_until_killed(config_of(tmp_path / "r", base, run=steps))
    assert not (tmp_path / "r" / "checkpoints").exists()
    again = command("train", tmp_path / "r.toml", "--resume")
    assert again.returncode == 0, again.stderr
    assert "begins again at step 1" in again.stderr
    ours, theirs = read_metrics(tmp_path / "r"), read_metrics(tmp_path / "whole")
    assert without_times(ours) == without_times(theirs)


def test_out_of_memory_is_a_word_of_advice_and_the_run_goes_on_with_less(base, tmp_path):
    config = config_of(tmp_path / "r", base, run={"save_every": 1})
    run = Run(config)
    plain = run.algorithm.prepare

    def prepare(rollout):
        if run.done == 2:
            torch.empty(1 << 50)  # a real failure of torch's allocator
        return plain(rollout)

    run.algorithm.prepare = prepare
    with pytest.raises(UserError, match=r"--resume --optimizer\.tokens_per_pass 2048"):
        train(run)
    assert [line["step"] for line in read_metrics(tmp_path / "r")] == [1, 2]
    less = load_config(
        TrainConfig, tmp_path / "r" / "config.toml", ["--optimizer.tokens_per_pass", "64"]
    )
    train(Run(less, resume=True))
    train(Run(config_of(tmp_path / "whole", base)))
    ours, theirs = (read_metrics(tmp_path / name) for name in ("r", "whole"))
    assert [x["reward/mean"] for x in ours] == [x["reward/mean"] for x in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-4)
