"""The ladder at work: each algorithm learns, goes on after SIGKILL, refuses what it cannot read."""

import json

import pytest
import tomli_w
import torch
from safetensors.torch import load_file

from common.errors import UserError
from common.files import write_text
from tests.conftest import config_of, run_settings
from tests.test_survival import train_until_killed, without_times
from train.__main__ import main
from train.config import TrainConfig, load_config, to_toml
from train.records.metrics import read_metrics
from train.registry import ALGORITHMS
from train.run import Run, train


def test_trpo_keeps_its_limit_and_npg_does_not_look(base, tmp_path):
    settings = {"delta": 0.002}
    for name in ("trpo", "npg"):
        config = config_of(
            tmp_path / name, base, algorithm={"name": name, **settings}, run={"steps": 2}
        )
        train(Run(config))
        steps = [line for line in read_metrics(tmp_path / name) if "trpo/kl" in line]
        assert steps
        if name == "trpo":
            assert all(line["trpo/kl"] <= 0.002 for line in steps)
            assert any(line["trpo/step"] > 0 for line in steps)
        else:
            assert all(line["trpo/step"] == 1.0 for line in steps)


RUNS = {name: {} for name in ALGORITHMS} | {
    "ppo": {"beta": 0.01, "critic": {"kind": "separate"}},
    "ppo_penalty": {"beta": 0.01},
    "grpo": {"supervision": "process", "beta": 0.01},
    "rlhf": {"beta": 0.01, "pair_steps": 1},
    "dpo": {"ranking": 3},
    "npg": {"cg_steps": 3, "fisher_samples": 16},
    "trpo": {"cg_steps": 3, "fisher_samples": 16},
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_learns_and_goes_on_after_sigkill(base, tmp_path, name):
    algorithm = {"name": name, **RUNS[name]}
    optimizer = {"epochs": 2, "minibatches": 2} if name in ("ppo", "ppo_penalty") else {}

    def config(folder):
        steps = {"steps": 3, "save_every": 1}
        return config_of(folder, base, run=steps, algorithm=algorithm, optimizer=optimizer)

    whole = Run(config(tmp_path / "whole"))
    before = [p.detach().clone() for p in whole.policy.parameters]
    train(whole)
    moved = sum(
        float((a - b.detach()).abs().sum())
        for a, b in zip(before, whole.policy.parameters, strict=True)
    )
    assert moved > 0
    assert all(p.isfinite().all() for p in whole.policy.parameters)
    dead = tmp_path / "dead"
    train_until_killed(config(dead))
    assert 1 <= len(read_metrics(dead)) < 3
    train(Run(config(dead), resume=True))
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
        tmp_path / "r", base, algorithm={"name": "dpo", "pairs": str(pairs)}, run={"steps": 12}
    )
    train(Run(config))
    lines = read_metrics(tmp_path / "r")
    assert all(line["time/sample_s"] == 0 for line in lines)
    assert lines[0]["loss"] == pytest.approx(0.693, abs=1e-3)  # log 2: policy and reference agree
    assert lines[-1]["loss"] < 0.6


def test_a_reward_model_learns_to_tell_and_is_then_frozen(base, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    config = config_of(
        tmp_path / "r",
        base,
        algorithm={
            "name": "rlhf",
            "pairs": str(pairs),
            "beta": 0.01,
            "pair_steps": 12,
            "reward_lr": 3e-3,
        },
        run={"steps": 13},
    )
    run = Run(config)
    train(run)
    lines = read_metrics(tmp_path / "r")
    assert lines[11]["rlhf/accuracy"] > 0.9
    assert "rlhf/accuracy" not in lines[12]
    assert "rlhf/score" in lines[12]
    assert lines[12]["time/sample_s"] > 0  # PPO samples


def test_a_file_that_holds_no_pairs_is_named(base, tmp_path):
    write_text(tmp_path / "p.jsonl", '{"question": "1+1?", "chosen": "2"}\n')
    algorithm = {"name": "dpo", "pairs": str(tmp_path / "p.jsonl")}
    with pytest.raises(UserError, match="line 1: no text in 'rejected'"):
        config_of(tmp_path / "r", base, algorithm=algorithm)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--algorithm.name", "pppo"], "unknown algorithm 'pppo' (did you mean 'ppo'?)"),
        (["--algorithm.name", "dpo", "--algorithm.critic.lam", "0.5"], "'algorithm.critic'"),
        (["--algorithm.name", "ppo", "--algorithm.loss", "gspo"], "unknown key 'algorithm.loss'"),
        (["--algorithm.name", "rloo", "--optimizer.epochs", "2"], "takes one step a rollout"),
        (["--algorithm.pairs", "x.jsonl"], "unknown key 'algorithm.pairs'"),
        (["--algorithm.name", "dpo", "--algorithm.ranking", "9"], "than rollout.completions"),
        (
            ["--algorithm.name", "dpo", "--reward.overlong_free", "9"],
            "overlong_free has no meaning",
        ),
        (["--algorithm.supervision", "process", "--reward.overlong_free", "9"], "has no meaning"),
        (["--algorithm.name", "no/such.py:X"], "no/such.py:X: cannot be loaded"),
        (["--algorithm", "ppo"], "--algorithm is --algorithm.name now"),
        (["--grpo.prompts", "4"], "grpo.prompts is rollout.prompts now"),
        (["--sampler.temperature", "4"], "sampler.temperature is sampling.temperature now"),
        (["--data.template", "chat"], "data.template is prompt.template now"),
        (["--critic.lam", "1"], "critic.lam is algorithm.critic.lam now"),
        (["--eval.every", "2"], "eval.data names no held-out problems"),
        (["--eval.n", "2", "--eval.k", "[1, 4]"], "eval.k = 4 must lie between 1 and eval.n = 2"),
        (["--reward.overlong_free", "24"], "must be less than sampling.max_tokens"),
        (["--optimizer.warmup_steps", "9"], "is more than run.steps = 4"),
        (["--lora.alpha", "-1"], "lora.alpha"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_settings_that_make_no_sense_are_refused_in_one_line(base, tmp_path, words, answer, dry):
    settings = run_settings(tmp_path / "r", base)
    del settings["algorithm"]
    write_text(tmp_path / "c.toml", tomli_w.dumps(settings))
    with pytest.raises(UserError) as refused:
        main([str(tmp_path / "c.toml"), *words, *dry])
    assert answer in str(refused.value)
    assert not (tmp_path / "r").exists()


def test_the_algorithm_is_part_of_the_configuration(base, tmp_path):
    config = config_of(tmp_path / "r", base, algorithm={"name": "rloo"})
    write_text(tmp_path / "c.toml", to_toml(config))
    again = load_config(TrainConfig, tmp_path / "c.toml")
    assert again == config
    assert again.algorithm.name == "rloo"
