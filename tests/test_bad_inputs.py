"""Sixty mistakes more, over all commands: each one clear line before anything heavy.

The commands are called in this process; `run_command` makes a UserError a line and exit code 2.
"""

import importlib
import json
import shutil
from pathlib import Path

import pytest

from common.errors import UserError
from tests.conftest import run_settings
from train.config import TrainConfig, check_config, to_toml

TRAIN = [  # overrides, what the line says
    ("--sampling.temperature 0", "sampling.temperature"),
    ("--sampling.temperature nan", "sampling.temperature"),
    ("--sampling.top_p 1.5", "sampling.top_p"),
    ("--sampling.backend vlm", "sampling.backend"),
    ("--run.steps 0", "run.steps"),
    ("--run.steps many", "run.steps"),
    ("--run.seed 1.5", "run.seed"),
    ("--run.trackers ['tensorbord']", "run.trackers"),
    ("--optimizer.lr -1e-4", "optimizer.lr"),
    ("--optimizer.schedule cosin", "optimizer.schedule"),
    ("--optimizer.warmup_steps 5", "warmup_steps"),
    ("--lora.alpha -1", "lora.alpha"),
    ("--lora.target_modules nothing_of_that_name", "nothing_of_that_name"),
    ("--algorithm.name pppo", "did you mean 'ppo'"),
    ("--algorithm.loss nowhere.py:mine", "nowhere.py"),
    ("--eval.every 2", "eval.data"),
    ("--eval.data synth:heldout,n=2 --eval.n 2 --eval.k [4]", "eval.k = 4"),
    ("--eval.data nowhere.jsonl", "nowhere.jsonl"),
    ("--reward.overlong_free 24", "overlong_free"),
    ("--reward.functions [{path='no_such'}]", "no_such"),
    ("--prompt.template caht", "prompt.template"),
    ("--grpo.prompts 4", "rollout.prompts"),
    ("--sampler.temperature 1", "sampling.temperature"),
    ("--data.train synth:train,n=x", "synth:train,n=x"),
    ("--optimizer.lr", "optimizer.lr"),
    ("optimizer.lr 1", "optimizer.lr"),
]  # fmt: skip


def refused(says, name, *words):
    """A command says in one line what is wrong."""
    main = importlib.import_module(name if "." in name else f"{name}.__main__").main
    with pytest.raises(UserError) as found:
        main([str(word) for word in words])
    assert "\n" not in str(found.value).strip()
    assert says in str(found.value)


@pytest.fixture(scope="module")
def config(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    settings = run_settings(folder / "run", base)
    (folder / "c.toml").write_text(to_toml(check_config(TrainConfig, settings, where="test")))
    return folder / "c.toml"


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["train", "dry run"])
@pytest.mark.parametrize(("words", "says"), TRAIN, ids=[words for words, _ in TRAIN])
def test_a_setting_that_cannot_be_meant_is_one_line_before_a_model_is_loaded(
    config, words, says, more
):
    refused(says, "train", config, *words.split(" "), *more)
    assert not config.with_name("run").exists()


FILES = {
    "broken.toml": "[run\n",
    "latin.toml": b"# \xe9\n",
    "empty.toml": "",
    "cases.jsonl": '{"gold": "1"}\n',
    "list.jsonl": "[1]\n",
    "pairs.jsonl": '{"prompt": "a", "chosen": "b"}\n',
    "rows.jsonl": '{"question": "a", "answer": "1"}\n',
}
OTHERS = [  # a command, what the line says
    ("train broken.toml", "broken.toml"),
    ("train latin.toml", "utf-8"),
    ("train empty.toml", "run"),
    ("train", "CONFIG.toml"),
    ("train .", "directory"),
    ("train empty.toml --resume --no-such-flag", "no-such-flag"),
    ("train.sft empty.toml", "run"),
    ("train.sft quickstart/base --run.steps -1", "run.steps"),
    ("train.sft quickstart/base --model.scratch huge", "model.scratch"),
    ("train.sft quickstart/base --data.train rows.jsonl", "solution"),
    ("train.sft quickstart/base --model.path x", "model.path"),
    ("rewards --gold 1", "--completion"),
    ("rewards --in nowhere.jsonl --out v.jsonl", "nowhere.jsonl"),
    ("rewards --in cases.jsonl --out v.jsonl", "cases.jsonl, line 1"),
    ("rewards --in list.jsonl --out v.jsonl", "list.jsonl, line 1"),
    ("rewards --in cases.jsonl --out rows.jsonl/v.jsonl", "rows.jsonl"),
    ("rewards --gold 1 --completion 1 --workers 0", "--workers"),
    ("rewards --gold 1 --completion 1 --timeout nan", "--timeout"),
    ("rewards --gold 1 --completion 1 --form exact", "--form"),
    ("sampling serve nowhere", "nowhere"),
    ("sampling serve nowhere --port x", "--port"),
    ("sampling", "command"),
    ("data synth --n 0 --out p.jsonl", "--n"),
    ("data synth --n 3 --levels 9 --out p.jsonl", "levels"),
    ("data synth --n 3 --levels x --out p.jsonl", "x"),
    ("data synth --n 3 --out rows.jsonl/p.jsonl", "rows.jsonl"),
    ("data show", "source"),
    ("data show synth:train,n=3 --model nowhere/at/all", "nowhere/at/all"),
    ("eval compare folder folder --plot x.gif", "--plot"),
    ("eval overlap rows.jsonl nowhere.jsonl", "nowhere.jsonl"),
    ("eval overlap rows.jsonl rows.jsonl --threshold 2", "--threshold"),
    ("eval overlap rows.jsonl rows.jsonl --show -1", "--show"),
    ("app --port 0", "--port"),
    ("app --runs rows.jsonl", "rows.jsonl"),
    ("app --results nowhere", "nowhere"),
    ("app --auth me", "--auth"),
    ("app --data nowhere.jsonl --port 17861", "nowhere.jsonl"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, content in FILES.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "folder").mkdir()
    return folder


@pytest.mark.parametrize(("words", "says"), OTHERS, ids=[words for words, _ in OTHERS])
def test_a_mistake_in_any_command_is_one_line_and_writes_nothing(folder, words, says):
    before = sorted(folder.rglob("*"))
    there = {*FILES, "folder", "v.jsonl", "p.jsonl", "x.gif"}
    named = [
        folder / word if word.partition("/")[0] in there or word == "." else word
        for word in words.split(" ")
    ]
    refused(says, *named)
    assert sorted(folder.rglob("*")) == before


def test_dpo_is_told_of_a_pair_that_lacks_a_side_before_a_model_is_loaded(folder, tmp_path):
    words = ["--algorithm.name", "dpo", "--algorithm.pairs", folder / "pairs.jsonl"]
    words += ["--run.dir", tmp_path / "run", "--run.steps", "1", "--model.path", "nowhere"]
    words += ["--data.train", "synth:train,n=9"]
    refused("pairs.jsonl, line 1", "train", folder / "empty.toml", *words)


def test_a_checkpoint_that_is_no_folder_and_a_damaged_result_are_one_line(base, folder, tmp_path):
    words = ["eval", "--model", base, "--data", "synth:heldout,n=2", "--out", tmp_path / "out"]
    refused("rows.jsonl", *words, "--adapter", folder / "rows.jsonl")
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "results.json").write_text("{")
    (tmp_path / "result" / "samples.parquet").write_text("no parquet")
    refused("result", "eval", "compare", tmp_path / "result", tmp_path / "result")


def test_a_model_folder_that_lacks_its_weights_or_holds_half_of_them_is_one_line(
    base, config, tmp_path
):
    for name in ("none", "half"):
        shutil.copytree(base, tmp_path / name)
        weights = tmp_path / name / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        if name == "none":
            weights.unlink()
        refused(name, "train", config, "--model.path", tmp_path / name)
    shutil.copytree(base, tmp_path / "odd")
    path = Path(tmp_path / "odd" / "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "no_such_type"}))
    refused("no_such_type", "train", config, "--model.path", tmp_path / "odd")
    assert not config.with_name("run").exists()
