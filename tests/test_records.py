"""What a run leaves: the advantages as trained on, shares of sources, one process, every line."""

import fcntl
import json
import sys

import pandas
import pytest
import torch
from safetensors.torch import load_file

from common.errors import UserError
from common.files import write_text
from tests.conftest import config_of
from tests.test_survival import without_times
from train.config import TrainConfig, load_config
from train.records.folder import RunFolder
from train.records.metrics import read_metrics
from train.registry import ALGORITHMS
from train.run import Run, train

SETTINGS = {
    "rlhf": {"pair_steps": 1},
    "grpo": {"beta": 0.01},
    "ppo_penalty": {},
    "trpo": {"cg_steps": 2, "fisher_samples": 8},
    "npg": {"cg_steps": 2, "fisher_samples": 8},
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_advantage_column_is_what_the_loss_was_given(base, tmp_path, name):
    steps = 2 if name == "rlhf" else 1
    optimizer = {"epochs": 2} if name == "ppo_penalty" else {}
    algorithm = {"name": name, **SETTINGS.get(name, {})}
    config = config_of(
        tmp_path / "r", base, run={"steps": steps}, algorithm=algorithm, optimizer=optimizer
    )
    run, given = Run(config), {}
    plain = run.algorithm.loss

    def loss(micro, forward, whole):
        for place, row in enumerate(micro.rows):
            if micro.advantages is not None:
                length = int(micro.mask[place].sum())
                value = micro.advantages[place]
                given[row] = value[:length].tolist() if value.ndim else value.item()
        return plain(micro, forward, whole)

    run.algorithm.loss = loss
    train(run)
    rows = pandas.read_parquet(RunFolder(tmp_path / "r").rollout(steps))
    kept = rows["advantage"].tolist()
    n = config.rollout.completions
    if name == "dpo":
        assert not given
        assert all(value is None for value in kept)
        return
    assert given
    for (g, i), value in given.items():
        found = kept[g * n + i]
        assert (found.tolist() if hasattr(found, "tolist") else found) == pytest.approx(value)


def mixed_sources(folder, base, **sections):
    sources = [
        {"source": "synth:train,n=60,levels=1", "weight": 3.0},
        {"source": "synth:train,n=30,levels=2,seed=5", "weight": 1.0},
    ]
    return config_of(folder, base, data={"train": sources}, **sections)


def test_two_sources_keep_their_shares_exactly_over_forty_steps(base, tmp_path):
    run = Run(mixed_sources(tmp_path / "r", base))
    rollouts = run.rollouts
    taken = [rollouts.mixture.source_of(i) for _ in range(40) for i in rollouts.curriculum.take(8)]
    assert taken.count(0) == 240
    assert taken.count(1) == 80
    assert all(taken[k : k + 8].count(0) == 6 for k in range(0, 320, 8))


def test_a_mixture_resumed_is_the_same_run_and_tells_each_sources_reward(base, tmp_path):
    steps = {"steps": 4, "save_every": 2}
    train(Run(mixed_sources(tmp_path / "whole", base, run=steps)))
    train(Run(mixed_sources(tmp_path / "r", base, run={**steps, "steps": 2})))
    train(Run(mixed_sources(tmp_path / "r", base, run=steps), resume=True))
    ours, theirs = read_metrics(tmp_path / "r"), read_metrics(tmp_path / "whole")
    assert without_times(ours) == without_times(theirs)
    assert {"reward/mean/synth-train", "reward/mean/synth-train-2"} <= set(ours[0])
    same_adapter(tmp_path, 4)


def same_adapter(tmp_path, step):
    a, b = (
        load_file(RunFolder(tmp_path / name).checkpoint(step) / "adapter_model.safetensors")
        for name in ("r", "whole")
    )
    assert all(torch.equal(a[key], b[key]) for key in b)


def test_other_training_problems_on_resume_are_refused(base, tmp_path):
    lines = [f'{{"question": "What is {a} + 1?", "answer": "{a + 1}"}}\n' for a in range(20)]
    data = tmp_path / "train.jsonl"
    write_text(data, "".join(lines))
    config = config_of(tmp_path / "r", base, run={"steps": 1}, data={"train": str(data)})
    train(Run(config))
    write_text(data, "".join(lines[1:]))
    config = load_config(TrainConfig, tmp_path / "r" / "config.toml", ["--run.steps", "2"])
    with pytest.raises(UserError, match="not those the run was started with"):
        Run(config, resume=True)


def test_a_run_is_trained_by_one_process_at_a_time(base, tmp_path):
    config = config_of(tmp_path / "r", base)
    folder = RunFolder(tmp_path / "r")
    folder.path.mkdir()
    with open(folder.path / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is training this run"):
            Run(config)


def test_a_longer_cosine_run_says_that_its_rate_jumps(base, tmp_path, capsys):
    optimizer = {"schedule": "cosine"}
    train(Run(config_of(tmp_path / "r", base, run={"steps": 2}, optimizer=optimizer)))
    train(Run(config_of(tmp_path / "r", base, run={"steps": 3}, optimizer=optimizer), resume=True))
    assert "run.steps was 2, now 3" in capsys.readouterr().err


WANDB = """
import json
from pathlib import Path

SEEN = Path(__file__).with_name("seen.jsonl")


def init(**options):
    with SEEN.open("a") as file:
        file.write(json.dumps(options) + "\\n")


def log(values, step):
    pass


def finish():
    pass
"""


def test_a_resumed_run_goes_on_as_one_run_in_wandb_which_knows_its_configuration(
    base, tmp_path, monkeypatch
):
    """W&B is not installed here: what stands for it writes down how it was called."""
    (tmp_path / "wandb.py").write_text(WANDB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    run = {"steps": 1, "trackers": ["wandb"]}
    train(Run(config_of(tmp_path / "r", base, run=run)))
    train(Run(config_of(tmp_path / "r", base, run={**run, "steps": 2}), resume=True))
    train(Run(config_of(tmp_path / "s", base, run=run)))
    monkeypatch.delitem(sys.modules, "wandb")
    seen = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    assert [one["name"] for one in seen] == ["r", "r", "s"]
    assert seen[0]["id"] == seen[1]["id"] != seen[2]["id"]
    assert {one["resume"] for one in seen} == {"allow"}
    assert seen[1]["config"]["run"]["steps"] == 2
    assert seen[0]["config"]["optimizer"]["lr"] == 1e-3
