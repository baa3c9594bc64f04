"""Every mistake a user can make gives one clear line, a non-zero code, and nothing half-written."""

import json
import shutil
import subprocess
import sys

import pytest

from common.errors import UserError
from common.files import write_text
from models.loading import load_tokenizer
from tests.conftest import run_settings
from tests.fork_server import ROOT, command
from train.config import TrainConfig, check_config, load_config, to_toml

LIMITED = """
import resource
import sys
import eval.harness, eval.sweep, sampling.torch_sampler
from common.errors import run_command
from eval.__main__ import main

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 30), used + (3 << 30)))
run_command(main)
"""


def config_file(tmp_path, base, **sections):
    config = check_config(
        TrainConfig, run_settings(tmp_path / "run", base, **sections), where="test"
    )
    write_text(tmp_path / "run.toml", to_toml(config))
    return tmp_path / "run.toml"


def fails(done, *says):
    """One line on stderr that says all of `says`, no traceback, a non-zero code."""
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in says:
        assert word in lines[0]


def test_missing_file(tmp_path, base):
    fails(command("train", config_file(tmp_path, base), "--data.train", "no.jsonl"), "no.jsonl")
    assert not (tmp_path / "run").exists()


def test_missing_configuration():
    fails(command("train", "nowhere.toml"), "nowhere.toml", "no such")


def test_malformed_line_names_file_and_line(tmp_path, base):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "a", "answer": "1"}\n{"question": \n')
    fails(command("train", config_file(tmp_path, base), "--data.train", bad), f"{bad}, line 2")
    assert not (tmp_path / "run").exists()


def test_empty_data_set(tmp_path, base):
    (tmp_path / "empty.jsonl").write_text("\n")
    done = command("train", config_file(tmp_path, base), "--data.train", tmp_path / "empty.jsonl")
    fails(done, "empty.jsonl", "empty")
    assert not (tmp_path / "run").exists()


def test_unknown_key_names_the_nearest(tmp_path, base):
    done = command("train", config_file(tmp_path, base), "--algorithm.epsilon_hi", "0.3")
    fails(done, "algorithm.epsilon_hi", "epsilon_high")


def test_group_of_one(tmp_path, base):
    done = command("train", config_file(tmp_path, base), "--rollout.completions", "1")
    fails(done, "rollout.completions", "greater than or equal to 2")


def test_model_without_tokenizer(tmp_path, base):
    model = tmp_path / "model"
    shutil.copytree(base, model)
    for file in model.glob("tokenizer*"):
        file.unlink()
    done = command("train", config_file(tmp_path, base), "--model.path", model)
    fails(done, str(model), "tokenizer")
    assert not (tmp_path / "run").exists()


def test_no_model_there(tmp_path, base):
    done = command("train", config_file(tmp_path, base), "--model.path", "./nothing")
    fails(done, "./nothing", "no such model folder")


def test_adapter_of_another_base(tmp_path, base, finished_run):
    other = tmp_path / "other"
    done = command(
        *("train.sft", ROOT / "configs/quickstart/base.toml", "--run.out", other),
        *(
            "--run.steps",
            "1",
            "--optimizer.warmup_steps",
            "0",
            "--run.seed",
            "9",
            "--data.train",
            "synth:train,n=50",
        ),
    )
    assert done.returncode == 0, done.stderr
    done = command(
        *("eval", "--model", other, "--adapter", finished_run / "checkpoints" / "step_000004"),
        *("--data", "synth:heldout,n=5", "--n", "1", "--out", tmp_path / "result"),
    )
    fails(done, "another base")
    assert not (tmp_path / "result").exists()


def test_resume_without_a_checkpoint(tmp_path, base):
    fails(command("train", config_file(tmp_path, base), "--resume"), "no checkpoint", "--resume")
    assert not (tmp_path / "run").exists()


def test_pass_at_k_with_too_few_samples(tmp_path, base):
    done = command(
        *("eval", "--model", base, "--data", "synth:heldout,n=5", "--n", "2", "--k", "1,4"),
        *("--out", tmp_path / "result"),
    )
    fails(done, "pass@4", "n is 2")


@pytest.mark.parametrize("room", ["data", "rewards", "train", "train.sft", "eval", "app"])
def test_every_command_has_help(room):
    words = [sys.executable, "-m", room, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "usage:" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory hold on Linux")
def test_too_little_memory_is_said_in_a_line(base, tmp_path):
    """Within a real limit: three gigabytes more than the libraries take."""
    words = [sys.executable, "-c", LIMITED, "--model", base, "--data", "synth:heldout,n=2"]
    words += ["--n", "1000000", "--max-tokens", "8", "--out", tmp_path / "result"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    fails(done, "out of memory")
    assert not (tmp_path / "result").exists()


def test_synth_writes_the_problems_it_says(tmp_path):
    out = tmp_path / "deep" / "p.jsonl"
    done = command("data", "synth", "--n", "7", "--seed", "2", "--out", out)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 7
    assert {"id", "question", "answer", "solution"} <= set(lines[0])


def test_a_model_folder_that_is_missing_beside_others_is_not_sought_on_the_hub(
    tmp_path, monkeypatch
):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="runs/base: no such model folder"):
        load_tokenizer("runs/base")


def test_a_byte_order_mark_is_no_part_of_the_content(tmp_path):
    settings = '[run]\ndir = "r"\nsteps = 1\n[model]\npath = "m"\n[data]\ntrain = "d"\n'
    (tmp_path / "c.toml").write_text(settings, encoding="utf-8-sig")
    assert load_config(TrainConfig, tmp_path / "c.toml").run.steps == 1
    case = '{"gold": "7", "completion": "#### 7"}\n'
    (tmp_path / "cases.jsonl").write_text(case, encoding="utf-8-sig")
    done = command("rewards", "--in", tmp_path / "cases.jsonl", "--out", tmp_path / "v.jsonl")
    assert done.returncode == 0, done.stderr
    assert '"reward": 1' in (tmp_path / "v.jsonl").read_text()
