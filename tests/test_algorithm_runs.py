"""The ladder at work: each algorithm learns, goes on after SIGKILL, refuses what it cannot read."""

import json

import pytest
import torch
from safetensors.torch import load_file

from common.errors import UserError
from common.files import write_text
from tests.conftest import config_of
from tests.nursery import command
from tests.test_survival import train_until_killed, without_times
from train.algorithms import ALGORITHMS, pick_algorithm
from train.config import TrainConfig, load_config, to_toml
from train.metrics import read_metrics
from train.run import TrainRun


def test_trpo_keeps_its_limit_and_npg_does_not_look(base, tmp_path):
    settings = {"delta": 0.002}
    for name in ("trpo", "npg"):
        config = config_of(
            tmp_path / name, base, grpo={"beta": 0.0}, trpo=settings, run={"steps": 2}
        ).model_copy(update={"algorithm": name})
        TrainRun(config).train()
        steps = [line for line in read_metrics(tmp_path / name) if "trpo/kl" in line]
        assert steps
        if name == "trpo":
            assert all(line["trpo/kl"] <= 0.002 for line in steps)
            assert any(line["trpo/step"] > 0 for line in steps)
        else:
            assert all(line["trpo/step"] == 1.0 for line in steps)


RUNS = {name: {} for name in ALGORITHMS} | {
    "ppo": {"grpo": {"epochs": 2, "minibatches": 2, "beta": 0.01}, "critic": {"kind": "separate"}},
    "ppo_penalty": {"grpo": {"epochs": 2, "beta": 0.01}},
    "grpo": {"grpo": {"supervision": "process", "beta": 0.01}},
    "rlhf": {"grpo": {"beta": 0.01}, "rlhf": {"pair_steps": 1}},
    "dpo": {"dpo": {"ranking": 3}},
    "npg": {"trpo": {"cg_steps": 3, "fisher_samples": 16}},
    "trpo": {"trpo": {"cg_steps": 3, "fisher_samples": 16}},
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_learns_and_goes_on_after_sigkill(base, tmp_path, name):
    sections = RUNS[name]
    sections = {**sections, "grpo": {"beta": 0.0, **sections.get("grpo", {})}}

    def config(folder):
        plain = config_of(folder, base, run={"steps": 3, "save_every": 1}, **sections)
        return plain.model_copy(update={"algorithm": name})

    whole = TrainRun(config(tmp_path / "whole"))
    before = [p.detach().clone() for p in whole.policy.parameters]
    whole.train()
    moved = sum(
        float((a - b.detach()).abs().sum())
        for a, b in zip(before, whole.policy.parameters, strict=True)
    )
    assert moved > 0
    assert all(p.isfinite().all() for p in whole.policy.parameters)
    dead = tmp_path / "dead"
    train_until_killed(config(dead))
    assert 1 <= len(read_metrics(dead)) < 3
    TrainRun(config(dead), resume=True).train()
    ours, theirs = read_metrics(dead), read_metrics(tmp_path / "whole")
    assert without_times(ours) == without_times(theirs)
    a, b = (
        load_file(run / "checkpoints" / "step_000003" / "adapter_model.safetensors")
        for run in (dead, tmp_path / "whole")
    )
    assert all(torch.equal(a[key], b[key]) for key in b)


def write_pairs(path):
    """Pairs that differ in their last word alone."""
    rows = [
        {
            "question": f"What is {a} + 1?",
            "chosen": f"It is {a}+1={a + 1}.\n#### {a + 1}",
            "rejected": f"It is {a}+1={a + 1}.\n#### 0",
        }
        for a in range(2, 90)
    ]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_dpo_learns_from_a_file_of_pairs(base, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    config = config_of(
        tmp_path / "r", base, data={"pairs": str(pairs)}, grpo={"beta": 0.0}, run={"steps": 12}
    ).model_copy(update={"algorithm": "dpo"})
    TrainRun(config).train()
    lines = read_metrics(tmp_path / "r")
    assert all(line["time/sample_s"] == 0 for line in lines)
    assert lines[0]["loss"] == pytest.approx(0.693, abs=1e-3)  # log 2: policy and reference agree
    assert lines[-1]["loss"] < 0.6


def test_a_reward_model_learns_to_tell_and_is_then_frozen(base, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    config = config_of(
        tmp_path / "r",
        base,
        data={"pairs": str(pairs)},
        grpo={"beta": 0.01},
        rlhf={"pair_steps": 12, "lr": 3e-3},
        run={"steps": 13},
    ).model_copy(update={"algorithm": "rlhf"})
    run = TrainRun(config)
    run.train()
    lines = read_metrics(tmp_path / "r")
    assert lines[11]["rlhf/accuracy"] > 0.9
    assert "rlhf/accuracy" not in lines[12]
    assert "rlhf/score" in lines[12]
    assert lines[12]["time/sample_s"] > 0  # PPO samples


def test_a_file_that_holds_no_pairs_is_named(base, tmp_path):
    write_text(tmp_path / "p.jsonl", '{"question": "1+1?", "chosen": "2"}\n')
    config = config_of(
        tmp_path / "r", base, data={"pairs": str(tmp_path / "p.jsonl")}, grpo={"beta": 0.0}
    ).model_copy(update={"algorithm": "dpo"})
    with pytest.raises(UserError, match="line 1: no text in 'rejected'"):
        TrainRun(config)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--algorithm", "pppo"], "unknown algorithm 'pppo' (did you mean 'ppo'?)"),
        (["--algorithm", "dpo", "--critic.lam", "0.5"], "[critic] has no meaning"),
        (["--algorithm", "ppo", "--grpo.loss", "gspo"], "grpo.loss has no meaning"),
        (["--algorithm", "rloo", "--grpo.epochs", "2"], "takes one step a rollout"),
        (["--data.pairs", "x.jsonl"], "data.pairs has no meaning for algorithm = 'grpo'"),
        (["--algorithm", "dpo", "--dpo.ranking", "9"], "larger than grpo.completions"),
    ],
)
def test_settings_that_make_no_sense_are_refused(base, tmp_path, words, answer):
    write_text(tmp_path / "c.toml", to_toml(config_of(tmp_path / "r", base, grpo={"beta": 0.0})))
    config = load_config(TrainConfig, tmp_path / "c.toml", words)
    with pytest.raises(UserError) as refused:
        TrainRun(config)
    assert answer in str(refused.value)
    assert not (tmp_path / "r").exists()


def test_the_command_takes_an_algorithm_and_refuses_in_one_line(base, tmp_path):
    write_text(tmp_path / "c.toml", to_toml(config_of(tmp_path / "r", base)))
    done = command("train", tmp_path / "c.toml", "--algorithm", "reinforce")
    assert done.returncode == 2
    assert "grpo.beta has no meaning for algorithm = 'reinforce'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_algorithm_is_part_of_the_configuration(base, tmp_path):
    config = config_of(tmp_path / "r", base, grpo={"beta": 0.0})
    write_text(tmp_path / "c.toml", to_toml(config.model_copy(update={"algorithm": "rloo"})))
    assert load_config(TrainConfig, tmp_path / "c.toml").algorithm == "rloo"
    assert pick_algorithm(config) is ALGORITHMS["grpo"]
