"""The pages are true: commands run, options and settings exist, links lead somewhere."""

import json
import re
import shutil
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from app.answers import Answerer
from app.runs import Library
from eval.__main__ import main as evaluate
from rewards.functions import load_function
from tests.conftest import run_settings
from tests.fork_server import ROOT, command
from tests.pages import MODULES, PAGES, Documented, blocks, commands, links, paths, settings
from train.config import SftConfig, TrainConfig, check_config
from train.config.load import known_keys
from train.export import main as export
from train.records.metrics import read_metrics
from train.registry import ALGORITHMS, algorithm_class
from train.run import Run, train
from train.supervised import run_sft

TRAINING = {"train": TrainConfig, "train.sft": SftConfig}
SECOND_WORDS = {("eval", "compare"), ("eval", "overlap"), ("data", "synth"), ("data", "show"), ("data", "pairs"),
                ("sampling", "serve"), ("models", "fetch")}  # fmt: skip
WAYS = {"train": ["--resume", "--dry-run", "--help"], "train.sft": ["--help"]}
# What stays up until it is stopped, or asks the net for a model, has tests of its own.
STAYS_UP = {"app", "sampling", "train.demo", "models"}


@cache
def options(module: str, second: str) -> set[str]:
    """The options that the help of a command lists."""
    done = command(module, *filter(None, [second]), "--help")
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout))


@cache
def keys(module: str) -> set[str]:
    """All settings of a training command, `section.key`, those of every algorithm with them."""
    known = set(known_keys(TRAINING[module]))
    if module == "train":
        for name in ALGORITHMS:
            known |= set(known_keys(algorithm_class(name).Settings, "algorithm."))
    return known


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_option_that_a_page_shows_exists(module):
    shown = [found for found in commands() if found.module == module]
    wrong = []
    for found in shown:
        second = found.words[0] if (module, *found.words[:1]) in SECOND_WORDS else ""
        for word in found.words:
            word = word.strip("[]").partition("=")[0]
            if not word.startswith("--") or word == "--section.key":
                continue
            if module in TRAINING and word not in WAYS[module]:
                ok = word[2:] in keys(module)
            else:
                ok = word in WAYS.get(module, []) or word in options(module, second)
            if not ok:
                wrong.append(f"{found}: {word}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_a_page_names_exists(page):
    known = keys("train") | keys("train.sft")
    sections = {key.partition(".")[0] for key in known}
    named = {name for name in settings(page) if name.partition(".")[0] in sections}
    named = {name for name in named if not name.endswith((".py", ".jsonl", ".toml", ".md"))}
    modules = {name for name in named if _is_module(name)}
    assert named - modules <= known


def _is_module(name: str) -> bool:
    """`eval.harness`, or what stands in it: rooms and sections share the words eval and data."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file() or path.parent.with_suffix(
        ".py").is_file()  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_file_that_a_page_names_is_there(page):
    missing = {link for link in links(page) if not (page.parent / link).exists()}
    named = {path for path in paths(page) if not re.search(r"^path/|NAME", path)}  # no examples
    missing |= {path for path in named if not (ROOT / path).exists()}
    assert not missing


def test_the_pages_show_every_command():
    assert {found.module for found in commands()} >= MODULES - {"train.demo"}


@pytest.fixture(scope="module")
def workshop(base, finished_run, tmp_path_factory) -> dict[str, str]:
    """Real files in place of the capital words of the pages."""
    folder = tmp_path_factory.mktemp("workshop")
    run = run_settings(folder / "run", base, run={"steps": 1}, rollout={"prompts": 2})
    (folder / "train.toml").write_text(tomli_w.dumps(run))
    sft = {"run": {"out": str(folder / "sft"), "steps": 1}, "model": {"scratch": "tiny"},
           "data": {"train": "synth:train,n=20"}}  # fmt: skip
    (folder / "sft.toml").write_text(tomli_w.dumps(sft))
    case = {"gold": "7", "completion": "#### 7"}
    (folder / "cases.jsonl").write_text(json.dumps(case) + "\n")
    row = {"question": "1 + 1?", "answer": "2"}
    other = {"prompt": "1 + 1?", "reward_model": {"ground_truth": "2"}}
    for name, record in (("train", row), ("test", row), ("rows", other)):
        (folder / f"{name}.jsonl").write_text(json.dumps(record) + "\n")
    results = finished_run / "eval" / "synth-heldout"
    for name, result in (("base", "base"), ("trained", "step_000004")):
        for at in (folder / "results" / name, folder / "results" / "test" / name):
            shutil.copytree(results / result, at)
    tiny = "synth:heldout,n=2,levels=1"
    checkpoint = str(finished_run / "checkpoints" / "step_000004")
    return {
        "folder": str(folder), "CONFIG": "train.toml", "CONFIG.toml": "train.toml",
        "M": str(base), "BASE": str(base), "MODEL": str(base),
        "ADAPTER": checkpoint, "DIR": "out", "SOURCE": tiny, "TRAIN_SOURCE": tiny, "EVAL_SOURCE": tiny,
        "RESULT_A": "results/base", "RESULT_B": "results/trained", "CASES.jsonl": "cases.jsonl",
        "results/test/step_000150": "results/test/trained",
        "RUN/checkpoints/step_0001*": checkpoint, "RUN": str(finished_run), "16": "2", "1,4,16": "1,2",
    }  # fmt: skip


def runnable(found: Documented) -> bool:
    """Whether a page's command can be run here: it ends, and needs neither hub nor GPU."""
    text = " ".join(found.words)
    elsewhere = re.search(r"\bQwen/|gsm8k|AI-MO/|vllm", text)
    complete = len(found.words) > 1 or "--help" in found.words
    return found.module not in STAYS_UP and complete and not elsewhere


RUNNABLE = list(dict.fromkeys(filter(runnable, commands())))


def test_most_commands_of_the_pages_can_be_run_here():
    assert len(RUNNABLE) >= 12
    assert {found.module for found in RUNNABLE} == MODULES - STAYS_UP


@pytest.mark.parametrize("found", RUNNABLE, ids=str)
def test_a_command_of_a_page_runs_as_it_is_shown(found, workshop, tmp_path):
    """What stands in brackets may be left out, and is."""
    shutil.copytree(workshop["folder"], tmp_path, dirs_exist_ok=True)
    words, left_out = [], 0
    for word in found.words:
        left_out += word.count("[")
        if not left_out:
            words.append(workshop.get(word, word))
        left_out -= word.count("]") if left_out else 0
    if found.module == "train.sft":
        words = ["sft.toml" if word == "train.toml" else word for word in words]
    if found.module == "train" and "--help" not in words:
        words += ["--dry-run"]
    done = command(found.module, *words, start=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_python_of_the_sampling_page_runs(base, finished_run):
    [code] = [b for b in blocks(ROOT / "docs" / "sampling.md", "python") if "load_sampler" in b]
    adapter = str(finished_run / "checkpoints" / "step_000004")
    for shown, here in (
        ('"vllm"', '"torch"'),
        ("Qwen/Qwen2.5-0.5B-Instruct", str(base)),
        ("runs/x/checkpoints/step_000100", adapter),
    ):
        assert shown in code
        code = code.replace(shown, here)
    names: dict[str, Any] = {}
    exec(code, names)
    [group] = names["groups"]
    assert len(group) == 8


def test_the_verdict_that_the_checkers_page_shows_is_the_verdict():
    [block] = [b for b in blocks(ROOT / "docs" / "answer-checking.md") if b.startswith("$ python")]
    asked, answered = block.strip().splitlines()
    [found] = [f for f in commands() if f.module == "rewards" and f.page == "answer-checking.md"
               and "--gold" in f.words]  # fmt: skip
    assert asked.endswith("'so \\boxed{0.5}'")
    done = command("rewards", *found.words)
    shown, given = json.loads(answered), json.loads(done.stdout)
    assert shown.pop("seconds") > 0
    assert given.pop("seconds") > 0
    assert given == shown


@pytest.mark.parametrize("page", ["data", "prompts", "rewards"])
def test_the_settings_that_a_page_of_a_seam_shows_train(page, base, tmp_path, monkeypatch):
    file = ROOT / "docs" / f"{page}.md"
    monkeypatch.chdir(tmp_path)
    for code in blocks(file, "python"):
        (tmp_path / "my_rewards.py").write_text(code)
    settings = run_settings(
        tmp_path / "run", base, run={"steps": 1}, rollout={"prompts": 4, "completions": 2}
    )
    shown = [tomllib.loads(block) for block in blocks(file, "toml")]
    assert shown
    for sections in shown:
        train(Run(check_config(TrainConfig, settings | sections, where=page)))
    [line] = read_metrics(tmp_path / "run")
    if page == "data":
        assert {"reward/mean/synth-train", "reward/mean/synth-train-2"} <= set(line)
    if page == "rewards":
        assert 0 < line["reward/brief"] < 1
        mine = load_function("my_rewards.py:unlike")
        assert mine.score(["a", "a", "b"], None, [{}] * 3) == [0.5, 0.5, 1.0]


def test_the_pipeline_of_its_page_runs_from_sft_over_grpo_and_eval_to_the_app(
    base, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tune, go_on = (
        block.replace("BASE", str(base)) for block in blocks(ROOT / "docs" / "pipeline.md", "toml")
    )
    tuned = run_sft(check_config(SftConfig, tomllib.loads(tune), where="sft.toml"))
    config = check_config(TrainConfig, tomllib.loads(go_on), where="grpo.toml")
    assert config.model.adapter == str(tuned)
    train(Run(config))
    checkpoint = "runs/warm/checkpoints/step_000002"
    words = ["--model", str(base), "--adapter", checkpoint, "base", "--data", "synth:heldout,n=2"]
    evaluate([*words, "--n", "2", "--max-tokens", "24", "--out", "measured"])
    assert len(list((tmp_path / "measured").rglob("results.json"))) == 2
    choices = Library(Path("runs")).choices()
    answerer = Answerer()
    *_, last = answerer.stream("2 + 3?", [choices["warm: step 2"]], 0.0, 0)
    answerer.close()
    assert last[0].completion.token_ids


def test_the_python_of_the_export_page_loads_what_was_exported(finished_run, tmp_path, capsys):
    out = tmp_path / "model"
    export([str(finished_run / "checkpoints" / "step_000004"), "--out", str(out)])
    [code] = blocks(ROOT / "docs" / "export.md", "python")
    exec(code.replace("DIR", str(out)), {})
    assert "What is 2 + 3?" in capsys.readouterr().out
