"""The benchmarks ask for what there is; what they need hours for is not run here."""

import ast
import importlib
import json
import re

import pytest

from benchmarks.check import BASELINES, baseline_file, commands, judged, machine_kind
from benchmarks.grpo_step import PRESETS, read_options, settings
from benchmarks.ladder import command
from benchmarks.ladder_table import BESIDE, LADDER, QUESTIONS
from benchmarks.peers import requirement
from common.errors import UserError
from tests.fork_server import ROOT
from train.config import TrainConfig, load_config
from train.registry import ALGORITHMS

FILES = sorted((ROOT / "benchmarks").glob("*.py"))


def test_the_ladder_has_every_algorithm_and_a_run_beside_each_question():
    assert LADDER.keys() == ALGORITHMS.keys()
    assert BESIDE.keys() == QUESTIONS.keys()
    assert set(BESIDE.values()) <= {*LADDER, *QUESTIONS}


@pytest.mark.parametrize("name", [*LADDER, *QUESTIONS])
def test_every_run_of_the_ladder_is_a_configuration_that_is_accepted(name, tmp_path):
    (tmp_path / "empty.toml").touch()
    words = command("base", tmp_path / "run", name, steps=40, seed=1)
    config = load_config(TrainConfig, words[3], words[4:])
    assert config.algorithm.name == name.split(",")[0]
    for key, value in (LADDER | QUESTIONS)[name].items():
        found = config
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_benchmark_imports_from_the_rooms_is_there(file):
    """Imports inside of functions too, which a run would come to after hours."""
    rooms = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").is_file()}
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module or "peer_trl" in node.module:
            continue  # the last needs TRL itself
        if node.module.partition(".")[0] in rooms | {"benchmarks"}:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(
                    f"{node.module}.{alias.name}"
                )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_says_in_its_first_line_how_it_is_called(file):
    tree = ast.parse(file.read_text())
    runs_itself = any(isinstance(node, ast.If) and "__main__" in ast.dump(node.test)
                      for node in tree.body)  # fmt: skip
    said = ast.get_docstring(tree) or ""
    assert said
    assert said.startswith(f"`python benchmarks/{file.name}") == runs_itself


def of(**ratios):
    """Ratios as they are kept; `a__b` stands for `a/b`."""
    return {
        name.replace("__", "/"): {"ratio": ratio, "command": "c"} for name, ratio in ratios.items()
    }


def test_a_ratio_that_fell_by_a_fifth_is_named_and_one_that_fell_by_a_tenth_is_not(
    tmp_path, capsys
):
    file = tmp_path / "kept.json"
    file.write_text(json.dumps(of(checker__MATH=40.0, grpo_step__toy=4.0, sampling__torch=4.0)))
    kept = file.read_text()
    found = of(checker__MATH=36.0, grpo_step__toy=3.2, sampling__torch=5.0)
    assert judged(file, found, update=False) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "grpo_step/toy fell by 20%, from 4.00 to 3.20"
    )
    found["grpo_step/toy"]["ratio"] = 3.6
    assert judged(file, found, update=False) == 0
    assert "none fell by more than 15%" in capsys.readouterr().out
    assert file.read_text() == kept


def test_new_ratios_are_kept_when_asked_to_and_those_not_measured_stay(tmp_path, capsys):
    file = tmp_path / "kept.json"
    file.write_text(json.dumps(of(checker__MATH=40.0, grpo_step__toy=4.0)))
    assert judged(file, of(grpo_step__toy=1.0, sampling__torch=2.0), update=True) == 0
    assert json.loads(file.read_text()) == of(
        checker__MATH=40.0, grpo_step__toy=1.0, sampling__torch=2.0
    )
    assert judged(file, of(grpo_step__toy=0.9), update=False) == 0
    assert "checker/MATH: 40.00, not measured now" in capsys.readouterr().out


def test_a_kind_of_machine_without_ratios_is_told_so_before_anything_runs(tmp_path):
    (tmp_path / "cpu-2-cores.json").write_text("{}")
    with pytest.raises(UserError, match=r"this kind of machine, cpu-3-cores \(kept: cpu-2-cores\)"):
        baseline_file(tmp_path, "cpu-3-cores", update=False)
    assert baseline_file(tmp_path, "cpu-2-cores", update=False).is_file()
    assert baseline_file(tmp_path, "cpu-3-cores", update=True) == tmp_path / "cpu-3-cores.json"
    assert machine_kind().startswith(("cpu-", "gpu-"))


@pytest.mark.parametrize("file", sorted(BASELINES.glob("*.json")), ids=lambda file: file.stem)
def test_what_is_kept_says_how_it_was_measured_and_is_measured_again(file):
    known = {name for name, calls in commands(ROOT, "runs/base-seed0").items() if calls}
    for name, one in json.loads(file.read_text()).items():
        assert name.split("/")[0] in known
        assert one["ratio"] > 0
        assert one["command"].startswith("python benchmarks/")
        assert one["date"]
        assert one["versions"].keys() >= {"torch", "transformers", "trl", "math-verify"}


@pytest.mark.parametrize("preset", PRESETS)
def test_both_sides_of_a_preset_are_given_one_configuration_that_is_accepted(preset, tmp_path):
    options = read_options([preset, "--model", "base", "--steps", "2", "--seeds", "3,4"])
    config = settings(options, tmp_path, seed=3)
    asked = PRESETS[preset][1]
    assert options.seeds == [3, 4]
    assert (config.rollout.prompts, config.rollout.completions) == (
        asked["prompts"],
        asked["completions"],
    )
    assert (config.lora.rank, config.optimizer.lr) == (asked["lora"], asked["lr"])
    assert (config.data.train, config.sampling.max_tokens) == (asked["data"], asked["max_tokens"])
    assert (config.run.steps, config.model.path, config.model.dtype) == (2, "base", "float32")


@pytest.mark.parametrize("name", ["trl", "math-verify", "lm-eval"])
def test_every_peer_is_asked_for_in_one_version(name):
    assert "==" in requirement(name)


@pytest.mark.parametrize(
    ("file", "words", "said"),
    [
        ("grpo_step", ["--steps", "1"], "--steps: at least 2"),
        ("grpo_step", ["tpy"], "invalid choice: 'tpy'"),
        ("grpo_step", ["--seeds", "0;1"], "--seeds takes numbers"),
        (
            "sampling",
            ["base", "--backends", "trl"],
            "--backends: transformers, torch, vllm, not trl",
        ),
        ("check", ["--only", "nothing"], "--only does not know nothing"),
        ("check", ["--data", "nowhere"], "nowhere has no gsm8k_train.jsonl"),
    ],
)
def test_a_benchmark_called_wrongly_says_what_is_wrong_before_anything_runs(file, words, said):
    with pytest.raises(UserError, match=re.escape(said)):
        importlib.import_module(f"benchmarks.{file}").main(words)
