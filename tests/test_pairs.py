"""A run's rollouts as a preference file, which dpo learns from."""

import json
import math

import pandas
import pytest

from common.errors import UserError
from data.__main__ import main
from tests.conftest import config_of
from train.records.metrics import read_metrics
from train.run import Run, train


def rollouts(run, *steps):
    """Rollouts of given (problem, completion, finish_reason, reward)."""
    (run / "rollouts").mkdir(parents=True)
    for number, rows in enumerate(steps, start=1):
        table = pandas.DataFrame(rows, columns=["problem", "completion", "finish_reason", "reward"])
        table["question"] = table["problem"] + "?"
        table.to_parquet(run / "rollouts" / f"step_{number:06d}.parquet")
    return str(run)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_right_stands_before_wrong_of_the_same_problem_and_only_finished_ones_count(
    tmp_path, capsys
):
    run = rollouts(
        tmp_path / "r",
        [("a", " right ", "stop", 1), ("a", "wrong", "stop", 0), ("a", "cut", "length", 0)],
        [("a", "right", "stop", 1), ("a", "wrong 2", "stop", 0), ("b", "only right", "stop", 1)],
        [("a", "right 2", "stop", 1), ("c", "cut too", "length", 0), ("c", "right", "stop", 1)],
    )
    main(["pairs", run, "--out", str(tmp_path / "p.jsonl")])
    assert read(tmp_path / "p.jsonl") == [
        {"problem": "a", "question": "a?", "chosen": "right", "rejected": "wrong"},
        {"problem": "a", "question": "a?", "chosen": "right 2", "rejected": "wrong 2"},
    ]
    said = capsys.readouterr().out
    assert "2 pairs of 1 problems; 2 problems were never right or never wrong; 2 unfinished" in said
    main(["pairs", run, "--out", str(tmp_path / "q.jsonl"), "--per-problem", "1"])
    assert len(read(tmp_path / "q.jsonl")) == 1


def test_dpo_learns_from_the_pairs_of_a_run(finished_run, base, tmp_path):
    file = tmp_path / "pairs.jsonl"
    main(["pairs", str(finished_run), "--out", str(file)])
    main(["pairs", str(finished_run), "--out", str(tmp_path / "again.jsonl")])
    assert file.read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    algorithm = {"name": "dpo", "pairs": str(file)}
    config = config_of(tmp_path / "r", base, run={"steps": 12}, algorithm=algorithm)
    train(Run(config))
    losses = [line["loss"] for line in read_metrics(tmp_path / "r")]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert sum(losses[-4:]) / 4 < math.log(2) - 0.01


def test_what_gives_no_pairs_is_said_in_one_line(tmp_path):
    run = rollouts(tmp_path / "r", [("a", "x", "stop", 1)])
    damaged = tmp_path / "d" / "rollouts"
    damaged.mkdir(parents=True)
    (damaged / "step_000001.parquet").write_bytes(b"PAR1")
    out = str(tmp_path / "p.jsonl")
    for words, said in (
        ([str(tmp_path / "no"), "--out", out], "no rollouts here"),
        ([run, "--out", out], "both a right and a wrong"),
        ([run, "--out", str(tmp_path / "p.csv")], r"\.jsonl"),
        ([run, "--out", out, "--per-problem", "0"], "at least 1"),
        ([str(tmp_path / "d"), "--out", out], "no rollout can be read"),
    ):
        with pytest.raises(UserError, match=said):
            main(["pairs", *words])
    assert not (tmp_path / "p.jsonl").exists()
