"""A rollout sampled while the step before is learnt: one step old, corrected, and never lost."""

import json
import os
import signal
from pathlib import Path

import pandas
import pytest
import torch

from common.errors import UserError
from sampling import SamplingParams, load_sampler
from sampling.process import SamplerProcess
from tests.conftest import config_of
from tests.fork_server import Command
from tests.test_parallel import (
    adapter,
    assert_same_run,
    config_file,
    metrics,
    run,
    start,
    wait_for_line,
)
from train.plan import show_plan
from train.run import Run, train

AHEAD = {"rollout": {"ahead": 1}}


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    """A run a step ahead, never interrupted."""
    folder = tmp_path_factory.mktemp("ahead")
    settings = {"run": {"steps": 8, "save_every": 2}, "rollout": {"ahead": 1, "curriculum": "drop"}}
    settings["eval"] = {"data": "synth:heldout,n=6,levels=1", "every": 4, "n": 2}
    config = config_file(folder, base, **settings)
    run(1, config)
    return folder / "run", settings


def test_each_rollout_but_the_first_is_one_step_old(whole):
    folder, _ = whole
    assert [line["staleness"] for line in metrics(folder)] == [0, *[1] * 7]
    kept = [pandas.read_parquet(folder / "rollouts" / f"step_{s:06d}.parquet") for s in range(1, 9)]
    assert [set(rows["policy_step"]) for rows in kept] == [{0}, {0}, {1}, {2}, {3}, {4}, {5}, {6}]


def test_a_rollout_is_sampled_by_the_adapter_it_names(whole, base, tmp_path):
    """Sampled anew with the checkpoint of that step, it is the same to the token."""
    folder, _ = whole
    rows = pandas.read_parquet(folder / "rollouts" / "step_000006.parquet")  # made by step 4
    layer = folder / "checkpoints" / "step_000004"
    with load_sampler("torch", base, adapter=layer) as sampler:
        for row in (rows.iloc[0], rows.iloc[-1]):
            scored = sampler.score(list(row["prompt_ids"]), list(row["token_ids"]), layer)
            assert scored == pytest.approx(list(row["logprobs"]), abs=1e-4)


def test_the_time_each_side_waits_is_in_the_metrics(whole):
    folder, _ = whole
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(line["time/wait_sampler_s"] >= 0 for line in lines)
    assert all(line["time/wait_trainer_s"] >= 0 for line in lines[1:])
    assert all(line["correction/mean_weight"] != 1 for line in lines[1:])


@pytest.mark.parametrize("at", [3, pytest.param(5, marks=pytest.mark.long)])
def test_killed_with_a_rollout_in_flight_the_run_goes_on_as_the_same(whole, base, tmp_path, at):
    folder, settings = whole
    config = config_file(tmp_path, base, **settings)
    process = Command("train", config)
    wait_for_line(tmp_path / "run", at)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    run(1, config, "--resume")
    assert_same_run(folder, tmp_path / "run", 8)
    ours, theirs = adapter(tmp_path / "run", 8), adapter(folder, 8)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_two_processes_a_step_ahead_make_the_steps_of_one(whole, base, tmp_path):
    folder, settings = whole
    run(2, config_file(tmp_path, base, **settings))
    assert_same_run(folder, tmp_path / "run", 8, tolerance=1e-5)


@pytest.mark.parametrize(
    ("sections", "answer"),
    [
        ({"algorithm": {"correction": "none"}}, "algorithm.correction must be"),
        ({"algorithm": {"name": "ppo"}}, "does not correct for"),
        ({"algorithm": {"name": "dpo"}}, "does not correct for"),
        ({"sampling": {"sleep": True}}, "sampling.sleep"),
    ],
)
def test_what_cannot_be_right_a_step_ahead_is_refused(base, tmp_path, sections, answer):
    with pytest.raises(UserError, match=answer):
        config_of(tmp_path / "r", base, **AHEAD, **sections)


@pytest.mark.parametrize(
    ("ahead", "options", "answer"),
    [
        (1, {"nothreads": 1}, r"no nothreads \(did you mean 'threads'"),
        (0, {"max_batches": 1}, r"no max_batches \(did you mean 'max_batch'"),
        (0, {"threads": 1}, "the torch backend has no threads"),
    ],
)
def test_unknown_options_of_the_sampler_are_refused_before_anything_starts(
    base, tmp_path, ahead, options, answer
):
    settings = {"rollout": {"ahead": ahead}, "sampling": {"options": options}}
    config = config_of(tmp_path / "r", base, **settings)
    for begin in (show_plan, Run):
        with pytest.raises(UserError, match=answer):
            begin(config)
    assert not (tmp_path / "r").exists()


def test_known_options_of_the_sampler_are_taken(base, tmp_path, capsys):
    settings = {"rollout": {"ahead": 1}, "sampling": {"options": {"threads": 1, "max_batch": 64}}}
    show_plan(config_of(tmp_path / "r", base, **settings))
    assert "estimated memory" in capsys.readouterr().out


def test_the_sampler_in_a_process_writes_what_the_one_here_writes(base, finished_run):
    prompts, params = ["2 + 3 = ", "7 - 4 = "], SamplingParams(max_tokens=8, seed=3)
    layer = finished_run / "checkpoints" / "step_000004"
    with SamplerProcess(base, threads=1) as apart, load_sampler("torch", base) as here:
        for one in (None, layer, finished_run / "checkpoints" / "step_000002", None):
            apart.update_adapter(one)
            here.update_adapter(one)
            assert apart.sample(prompts, 3, params) == here.sample(prompts, 3, params)
        with pytest.raises(UserError, match="nowhere"):
            apart.update_adapter("nowhere")
        assert apart.sample(prompts, 1, params) == here.sample(prompts, 1, params)
        os.kill(apart._process.pid, signal.SIGINT)  # Ctrl-C is for the trainer
        assert apart.sample(prompts, 1, params) == here.sample(prompts, 1, params)
        os.kill(apart._process.pid, signal.SIGKILL)
        with pytest.raises(UserError, match="the sampler's process has ended"):
            apart.sample(prompts, 1, params)


def test_a_dead_sampler_ends_the_run_in_one_line_and_it_resumes(base, tmp_path):
    config = config_of(tmp_path / "r", base, run={"steps": 6, "save_every": 1}, **AHEAD)
    begun = Run(config)
    plain = begun.rollouts.sampler.update_adapter

    def dying(policy):
        if begun.rollouts._served == 2:
            os.kill(begun.sampler._process.pid, signal.SIGKILL)
        plain(policy)

    begun.rollouts.sampler.update_adapter = dying
    with pytest.raises(UserError, match="the sampler's process has ended"):
        train(begun)
    train(Run(config, resume=True))
    assert [line["step"] for line in metrics(tmp_path / "r")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.long
def test_a_rank_whose_sampler_dies_ends_all_and_the_run_goes_on_as_the_same(whole, base, tmp_path):
    _, settings = whole
    run(2, config_file(tmp_path / "whole", base, **settings))
    config = config_file(tmp_path / "cut", base, **settings)
    started = start(2, config)
    wait_for_line(tmp_path / "cut" / "run", 3)
    os.kill(sampler_of(started[1].pid), signal.SIGKILL)
    assert [rank.wait(60) for rank in started] == [2, 2]
    for rank, told in zip(started, ("has ended", "the sampler's process has ended"), strict=True):
        [line] = [x for x in rank.error.read_text().splitlines() if x.startswith("error:")]
        assert told in line
        assert "Traceback" not in rank.error.read_text()
    run(2, config, "--resume")
    assert_same_run(tmp_path / "whole" / "run", tmp_path / "cut" / "run", 8)


def sampler_of(pid: int) -> int:
    """The process that samples for a trainer."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    [found] = [c for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return int(found)
