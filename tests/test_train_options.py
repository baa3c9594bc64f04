"""Each option of the trainer does what it says, and bad states end well."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import pandas
import pytest
import torch

from common.errors import UserError
from common.files import write_text
from data import Mixture, Problem, PromptTemplate, synthesize
from models.loading import load_tokenizer
from rewards import check
from sampling.completion import Completion
from tests.conftest import config_of
from tests.fork_server import command
from tests.toys import toy_rollout
from train.build import longest_call
from train.config import to_toml
from train.curriculum import Curriculum
from train.plan import estimate
from train.records.checkpoint import latest_checkpoint
from train.records.diagnostics import WINDOW, Diagnostics
from train.records.metrics import read_metrics
from train.rollouts import overlong_penalties
from train.run import Run, train


def test_dynamic_sampling_draws_until_every_group_has_a_signal(base, tmp_path):
    settings = {"dynamic_sampling": True, "max_draws": 8}
    rollout = Run(config_of(tmp_path / "r", base, rollout=settings)).rollouts.next(1)
    assert rollout.metrics()["groups/drawn"] > 8
    assert len(rollout.prompts) == 8
    assert rollout.mixed.all()
    plain = Run(config_of(tmp_path / "s", base)).rollouts.next(1)
    assert plain.metrics()["groups/drawn"] == 8
    assert not plain.mixed.all()


def test_the_sampler_sleeps_while_the_policy_learns_and_at_no_other_time(base, tmp_path):
    run = Run(config_of(tmp_path / "r", base, sampling={"sleep": True}, run={"steps": 2}))
    said = []
    for object, name in (
        (run.sampler, "_sample"),
        (run.sampler, "sleep"),
        (run.algorithm, "prepare"),
        (run.sampler, "wake"),
        (run.sampler, "update_adapter"),
    ):
        plain = getattr(object, name)
        setattr(object, name, lambda *a, _p=plain, _n=name, **k: (said.append(_n), _p(*a, **k))[1])
    train(run)
    assert said == ["_sample", "sleep", "prepare", "wake", "update_adapter"] * 2


def problems(count):
    return Mixture([synthesize(count, seed=0)], [1.0], seed=0)


def test_the_curriculum_prefers_what_is_solved_half_the_time():
    curriculum = Curriculum(problems(100), "weight")
    curriculum.learn(range(100), [0.5 if i < 20 else 1.0 for i in range(100)])
    taken = [i for _ in range(40) for i in curriculum.take(5)]
    assert sum(i < 20 for i in taken) > 0.6 * len(taken)
    assert any(i >= 20 for i in taken)
    copy = Curriculum(problems(100), "weight")
    copy.restore(curriculum.state())
    assert copy.take(10) == curriculum.take(10)


def test_the_curriculum_drops_what_is_solved():
    curriculum = Curriculum(problems(20), "drop")
    curriculum.learn(range(10), [1.0] * 10)
    taken = curriculum.take(10) + curriculum.take(10)
    assert set(taken) == set(range(10, 20))
    curriculum.learn(range(20), [1.0] * 20)
    curriculum.learn(range(20), [1.0] * 20)
    assert len(curriculum.take(5)) == 5  # rather all again than none


def test_overlong_completions_lose_reward_softly(base, tmp_path):
    groups = [[Completion("", [1] * n, [0.0] * n, "stop") for n in (4, 15, 20)]]
    assert overlong_penalties(groups, 10, 20).tolist() == [[0.0, -0.5, -1.0]]
    config = config_of(tmp_path / "r", base, reward={"overlong_free": 0})
    rollout = Run(config).rollouts.next(1)
    assert (rollout.shaped < rollout.rewards).all()
    assert set(rollout.rewards.unique().tolist()) <= {0.0, 1.0}
    assert rollout.metrics()["reward/mean"] == pytest.approx(float(rollout.rewards.mean()))


def test_the_moved_reference_is_the_policy_of_that_step(base, tmp_path):
    config = config_of(tmp_path / "r", base, run={"steps": 5}, algorithm={"reference_every": 3})
    train(Run(config))
    kls = [line["kl"] for line in read_metrics(tmp_path / "r")]
    assert kls[0] == pytest.approx(0.0, abs=1e-7)
    assert kls[2] > 1e-7
    assert kls[3] == pytest.approx(0.0, abs=1e-7)  # right after the move
    assert kls[4] > 1e-7


def test_old_checkpoints_go_and_the_best_stays(base, tmp_path):
    config = config_of(
        tmp_path / "r",
        base,
        run={"steps": 5, "save_every": 1, "keep_last": 1},
        eval={"data": "synth:heldout,n=10,levels=1", "every": 2, "n": 2},
        optimizer={"lr": 1e-9},
    )
    train(Run(config))
    best = json.loads((tmp_path / "r" / "best.json").read_text())
    left = sorted(p.name for p in (tmp_path / "r" / "checkpoints").iterdir())
    assert left == sorted({f"step_{best['step']:06d}", "step_000005"})


@pytest.mark.parametrize(
    "option", ["correction", "entropy", "dual_clip", "checkpointing", "autocast"]
)
def test_a_step_with_each_option_is_finite_and_moves(base, tmp_path, option):
    sections = {
        "correction": {"algorithm": {"correction": "token"}},
        "entropy": {"algorithm": {"entropy_bonus": 0.01}},
        "dual_clip": {
            "algorithm": {"dual_clip": 3.0, "baseline": "leave_one_out"},
            "optimizer": {"epochs": 2},
        },
        "checkpointing": {"model": {"gradient_checkpointing": True}},
        "autocast": {"model": {"autocast": True}},
    }[option]
    config = config_of(tmp_path / "r", base, run={"steps": 1}, **sections)
    train(Run(config))
    [line] = read_metrics(tmp_path / "r")
    assert line["grad_norm"] > 0
    assert line["skipped_steps"] == 0


def test_steps_that_are_not_finite_are_skipped_kept_and_stop_the_run(base, tmp_path, monkeypatch):
    config = config_of(tmp_path / "r", base, run={"steps": 20, "save_every": 1})
    run = Run(config)
    plain, calls = run.policy.logprobs, []

    def poisoned(layout, **options):
        logprobs, entropy = plain(layout, **options)
        if torch.is_grad_enabled():
            calls.append(run.done + 1)
            if run.done + 1 in (2, 4, 5, 6):
                logprobs = logprobs * float("nan")
        return logprobs, entropy

    monkeypatch.setattr(run.policy, "logprobs", poisoned)
    with pytest.raises(UserError, match="3 steps in a row"):
        train(run)
    lines = read_metrics(tmp_path / "r")
    assert [line["skipped_steps"] for line in lines] == [0, 1, 0, 1, 1]
    assert len(pandas.read_parquet(tmp_path / "r" / "rollouts" / "not_finite_000002.parquet")) == 64
    assert latest_checkpoint(tmp_path / "r").name == "step_000005"
    assert "not finite" in (tmp_path / "r" / "warnings.txt").read_text()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk")
def test_a_full_disk_stops_with_a_word_and_leaves_the_checkpoint_before_whole(base, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        run = {"steps": 30, "save_every": 1, "save_rollouts": False}
        write_text(tmp_path / "run.toml", to_toml(config_of(disk / "r", base, run=run)))
        done = command("train", tmp_path / "run.toml")
        assert done.returncode == 2, done.stderr
        assert done.stderr.splitlines()[-1].startswith("error:")
        assert "disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        shutil.copytree(disk / "r", tmp_path / "copy")
        assert latest_checkpoint(tmp_path / "copy").name >= "step_000001"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_resuming_with_a_metrics_file_of_a_dead_run(base, tmp_path):
    train(Run(config_of(tmp_path / "r", base)))
    with open(tmp_path / "r" / "metrics.jsonl", "a") as file:
        file.write('{"step": 5, "loss": 0.0}\n{"step": 6, "lo')
    train(Run(config_of(tmp_path / "r", base, run={"steps": 6}), resume=True))
    lines = read_metrics(tmp_path / "r")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert "reward/mean" in lines[4]


def line(step, **more):
    usual = {"reward/mean": 0.5, "groups/all_right": 0.2, "groups/all_wrong": 0.2, "entropy": 0.5,
             "kl": 0.01, "completion/mean_tokens": 50, "completion/truncated": 0.0,
             "sampler_kl": 0.0, "reward/unmarked": 0.0}  # fmt: skip
    return {"step": step, **usual, **more}


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("hardly any", {"reward/mean": 0.0}),
        ("nearly every", {"reward/mean": 1.0}),
        ("fifth of the groups", {"groups/all_wrong": 0.75}),
        ("cut off", {"completion/truncated": 0.6}),
        ("KL to the reference", {"kl": 3.0}),
        ("disagree", {"sampler_kl": 0.5}),
        ("repeat a formula of the question", {"reward/echo": 0.2}),
    ],
)
def test_the_advisor_warns_once_about_what_smells(word, change):
    advisor = Diagnostics(sampler_kl=0.02, beta=0.01)
    said = [w for step in range(1, 45) for w in advisor.look(line(step, **change))]
    assert [word in warning for warning in said] == [True]
    assert not [
        w for s in range(1, 45) for w in Diagnostics(sampler_kl=0.02, beta=0.0).look(line(s))
    ]


def test_the_record_counts_the_answers_that_only_repeat_the_question():
    question = "Simplify $(3x + 2) + (x - 5)$."
    texts = ["(3x+2)+(x-5)", "4x-3", "4x-3"]
    problem = Problem("p", question, "4x-3")
    verdicts = [[check(rf"\boxed{{{text}}}", "4x-3") for text in texts]]
    rollout = dataclasses.replace(
        toy_rollout(["mixed"]), problems=[problem], verdicts=verdicts, draws=()
    )
    assert rollout.metrics()["reward/echo"] == pytest.approx(1 / 3)


def test_the_advisor_sees_trends():
    advisor = Diagnostics(sampler_kl=0.02, beta=0.0)
    said = []
    for step in range(1, 2 * WINDOW):
        change = {"entropy": 0.5 / step**2, "completion/mean_tokens": 50 + 10 * step}
        change["reward/unmarked"] = 0.02 * step
        said += advisor.look(line(step, **change))
    assert {w.split(": ")[1].split(" ")[0] for w in said} >= {"entropy", "completions"}
    assert any("last number" in w for w in said)


def test_an_engine_gets_the_context_that_is_needed_and_no_more(base, tmp_path):
    prompt = PromptTemplate(load_tokenizer(base))
    problems = synthesize(20, seed=0)
    longest = max(len(prompt.encode(p)) for p in problems)
    config = config_of(tmp_path / "r", base, eval={"max_tokens": 100})
    assert longest_call(problems, [], prompt, config) == longest + 24
    assert longest_call([], problems, prompt, config) == longest + 100
    config = config_of(tmp_path / "r", base, sampling={"max_tokens": 5000})
    assert longest_call(problems, [], prompt, config) == 1024  # all there is


def test_a_dry_run_shows_the_plan_and_leaves_nothing(base, tmp_path):
    config = config_of(tmp_path / "r", base)
    write_text(tmp_path / "run.toml", to_toml(config))
    done = command("train", tmp_path / "run.toml", "--dry-run")
    assert done.returncode == 0, done.stderr
    for word in ("4 steps of 8 × 8", "activations", "total", "[rollout]", "torch"):
        assert word in done.stdout
    assert not (tmp_path / "r").exists()
    memory = estimate(config, 60)
    weights = sum(f.stat().st_size for f in base.glob("*.safetensors"))
    assert memory.weights == pytest.approx(weights, rel=0.25)
