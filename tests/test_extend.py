"""An algorithm, a loss and a reward of the user's own, each one file from outside the repository."""

import json
from pathlib import Path

import pandas
import pytest

from common.errors import UserError
from data import load_problems, shapes
from eval.intervals import Estimate, mean_interval
from rewards import Checker
from tests.conftest import config_of
from train.config import TrainConfig, load_config
from train.records.metrics import read_metrics
from train.run import Run, train

ALGORITHM = """
from pydantic import Field

from train.advantages import group_advantages
from train.algorithms.grpo import Grpo, GrpoSettings


class DoubledSettings(GrpoSettings):
    factor: float = Field(2.0, gt=0.0, description="times GRPO's advantages")


class Doubled(Grpo):
    Settings = DoubledSettings

    def advantages(self, rollout):
        return self.settings.factor * group_advantages(rollout.rewards)
"""
LOSS = """
def plain_surrogate(logprobs, old_logprobs, advantages, mask, *, epsilon, epsilon_high):
    if advantages.ndim == 1:
        advantages = advantages[:, None]
    return -(logprobs - old_logprobs).exp() * advantages
"""
REWARD = """
import re


def even(completion, problem, **context):
    return float(len(re.findall("[A-Za-z]+", completion)) % 2 == 0)


def broken(completion, problem, **context):
    raise RuntimeError("no such thing")


def hanging(completion, problem, **context):
    while True:
        pass


def nothing(completion, problem, **context):
    return float("nan")
"""


def test_an_algorithm_from_a_file_trains_resumes_and_brings_its_own_settings(base, tmp_path):
    (tmp_path / "mine.py").write_text(ALGORITHM)
    algorithm = {"name": f"{tmp_path / 'mine.py'}:Doubled", "factor": 3.0}
    config = config_of(tmp_path / "r", base, run={"steps": 2}, algorithm=algorithm)
    train(Run(config))
    config = load_config(TrainConfig, tmp_path / "r" / "config.toml", ["--run.steps", "3"])
    assert config.algorithm.factor == 3.0
    train(Run(config, resume=True))
    lines = read_metrics(tmp_path / "r")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert any(line["grad_norm"] for line in lines)
    with pytest.raises(UserError, match=r"algorithm\.factr"):
        config_of(tmp_path / "s", base, algorithm={"name": algorithm["name"], "factr": 1.0})


def test_a_loss_from_a_file_trains(base, tmp_path):
    (tmp_path / "mine.py").write_text(LOSS)
    loss = f"{tmp_path / 'mine.py'}:plain_surrogate"
    train(Run(config_of(tmp_path / "r", base, run={"steps": 1}, algorithm={"loss": loss})))
    [line] = read_metrics(tmp_path / "r")
    assert line["grad_norm"] > 0


def even_share(run: Path, steps: range) -> Estimate:
    """The reward of `even` over the groups of some steps, with its interval."""
    rows = pandas.concat(
        pandas.read_parquet(run / "rollouts" / f"step_{step:06d}.parquet").assign(step=step)
        for step in steps
    )
    return mean_interval(rows.groupby(["step", "problem"])["reward/even"].mean())


def test_a_data_source_of_another_shape_is_one_entry_or_a_setting(base, tmp_path, monkeypatch):
    rows = [{"riddle": f"What is {i} + {i}?", "truth": str(2 * i)} for i in range(1, 9)]
    source = tmp_path / "riddles.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="no known shape"):
        load_problems(str(source))
    fields = {"question": "riddle", "answer": "truth"}
    named = load_problems(str(source), fields=fields)
    assert [(p.question, p.answer) for p in named] == [(r["riddle"], r["truth"]) for r in rows]
    data = {"train": [{"source": str(source), "fields": fields}]}
    train(Run(config_of(tmp_path / "r", base, run={"steps": 1}, data=data)))
    [line] = read_metrics(tmp_path / "r")
    assert line["step"] == 1

    monkeypatch.setitem(shapes.NAMES, "question", ("riddle", *shapes.NAMES["question"]))
    monkeypatch.setitem(shapes.NAMES, "answer", ("truth", *shapes.NAMES["answer"]))
    assert load_problems(str(source)) == named


def test_a_reward_from_a_file_is_learnt_kept_and_leaves_the_verdicts_alone(base, tmp_path):
    (tmp_path / "mine.py").write_text(REWARD)
    functions = [{"path": f"{tmp_path / 'mine.py'}:even"}, {"path": "correct", "weight": 0.1}]
    config = config_of(
        tmp_path / "r",
        base,
        run={"steps": 40, "save_every": 40},
        reward={"functions": functions},
        algorithm={"beta": 0.0},
        optimizer={"lr": 5e-3},
        eval={"data": "synth:heldout,n=20,levels=1", "n": 2},
    )
    train(Run(config))
    early, late = (even_share(tmp_path / "r", steps) for steps in (range(1, 9), range(33, 41)))
    assert late.ci_low > early.ci_high + 0.1  # about 0.2 before, 0.9 after, whatever the seed
    rows = pandas.read_parquet(tmp_path / "r" / "rollouts" / "step_000001.parquet")
    words = rows["completion"].str.count("[A-Za-z]+")
    assert (rows["reward/even"] == (words % 2 == 0)).all()
    assert (rows["reward/correct"] == rows["reward"]).all()
    assert set(rows["reward"]) <= {0, 1}
    samples = pandas.read_parquet(next((tmp_path / "r" / "eval").rglob("samples.parquet")))
    with Checker(workers=1, strict=True) as checker:
        own = checker.check_many(zip(samples["completion"], samples["gold"], strict=True))
    assert samples["reward"].tolist() == [verdict.reward for verdict in own]


@pytest.mark.parametrize(
    ("name", "word"),
    [("broken", "no such thing"), ("hanging", "no answer within"), ("nothing", "returned nan")],
)
def test_a_reward_that_fails_is_named_in_one_line_and_costs_no_step(
    base, tmp_path, capsys, name, word
):
    (tmp_path / "mine.py").write_text(REWARD)
    functions = [{"path": "correct"}, {"path": f"{tmp_path / 'mine.py'}:{name}"}]
    reward = {"functions": functions, "timeout": 1.0}
    rollout = {"prompts": 2, "completions": 2}
    config = config_of(tmp_path / "r", base, run={"steps": 1}, reward=reward, rollout=rollout)
    train(Run(config))
    [line] = read_metrics(tmp_path / "r")
    assert line[f"reward/{name}"] == 0.0
    said = [x for x in capsys.readouterr().err.splitlines() if name in x]
    assert len(said) == 1
    assert word in said[0]


def test_a_reward_that_is_not_there_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(UserError, match="no_such"):
        config_of(tmp_path, "nowhere", reward={"functions": [{"path": "no_such.py:f"}]})
