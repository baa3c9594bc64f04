"""A run on several sources: shares, metrics by source, and a resumption that changes nothing."""

import signal
import time

import pandas
import torch
from safetensors.torch import load_file

from common.files import write_text
from tests.conftest import config_of
from tests.fork_server import Command
from tests.test_survival import without_times
from train.config import to_toml
from train.records.metrics import read_metrics
from train.run import Run, train

STEPS = 40
SOURCES = [
    {"source": "synth:train,n=60,levels=1", "weight": 3},
    {"source": "synth:train,n=25,levels=1,seed=7", "weight": 1},
]


def mixed(folder, base):
    return config_of(
        folder,
        base,
        run={"steps": STEPS, "save_every": 10},
        data={"train": SOURCES},
        rollout={"prompts": 4, "completions": 2},
        sampling={"max_tokens": 8},
    )


def test_two_sources_three_to_one_are_exact_in_each_of_40_steps_and_through_a_kill(base, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    write_text(tmp_path / "run.toml", to_toml(mixed(cut, base)))
    killed = Command("train", tmp_path / "run.toml")
    while killed.poll() is None and len(read_metrics(cut)) < 12:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, killed.error.read_text()
    assert 12 <= len(read_metrics(cut)) < STEPS
    train(Run(mixed(cut, base), resume=True))
    train(Run(mixed(whole, base)))
    lines = read_metrics(whole)
    assert without_times(read_metrics(cut)) == without_times(lines)
    a, b = (
        load_file(run / "checkpoints" / f"step_{STEPS:06d}" / "adapter_model.safetensors")
        for run in (cut, whole)
    )
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in b)
    for line in lines:
        rows = pandas.read_parquet(whole / "rollouts" / f"step_{line['step']:06d}.parquet")
        counts = rows.groupby("source")["problem"].count()
        assert sorted(counts) == [1 * 2, 3 * 2]  # of 4 prompts, 2 completions each
        for name, mean in rows.groupby("source")["reward"].mean().items():
            assert abs(line[f"reward/mean/{name}"] - mean) < 1e-6
