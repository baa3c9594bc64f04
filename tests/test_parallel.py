"""Several processes train one run: the same steps, one set of files, all or none go on."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pytest
import torch
from safetensors.torch import load_file

from sampling.vllm_options import has_vllm
from tests.conftest import run_settings
from tests.fork_server import Command
from train.config import TrainConfig, check_config, to_toml

CHANGES_WITH_THE_CUT = ("time/", "tokens_per_s", "memory_gib")
METHODS: dict[str, dict] = {
    **{
        loss: {"algorithm": {"loss": loss, "beta": 0.01}}
        for loss in ("grpo", "bnpo", "dapo", "dr_grpo", "gspo", "cispo", "gmpo", "sapo")
    },
    "several steps": {
        "algorithm": {"loss": "bnpo", "beta": 0.01},
        "optimizer": {"epochs": 2, "minibatches": 2},
    },
    "process": {"algorithm": {"supervision": "process", "beta": 0.0}},
    "entropy and draws": {
        "algorithm": {"entropy_bonus": 0.01},
        "rollout": {"dynamic_sampling": True, "max_draws": 2, "curriculum": "weight"},
    },
    "reinforce": {"algorithm": {"name": "reinforce"}},
    "rloo": {"algorithm": {"name": "rloo"}},
    "a2c": {"algorithm": {"name": "a2c"}},
    "ppo": {"algorithm": {"name": "ppo"}, "optimizer": {"epochs": 2}},
    "ppo_penalty": {"algorithm": {"name": "ppo_penalty"}, "optimizer": {"epochs": 2}},
    "dpo": {"algorithm": {"name": "dpo"}},
}
IN_EVERY_TEST_RUN = ("several steps", "ppo_penalty")


def config_file(folder: Path, base: Path, **sections) -> Path:
    settings = run_settings(folder / "run", base, **sections)
    settings["run"] |= {"steps": settings["run"].get("steps", 4)}
    folder.mkdir(exist_ok=True)
    (folder / "c.toml").write_text(to_toml(check_config(TrainConfig, settings, where="test")))
    return folder / "c.toml"


def start(count: int, *words: str | Path, module: str = "train") -> list[Command]:
    """`torchrun --nproc-per-node COUNT -m MODULE WORDS`, without torchrun."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    env = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        Command(module, *words, env={**env, "RANK": str(i), "LOCAL_RANK": str(i)})
        for i in range(count)
    ]


def run(count: int, *words: str | Path) -> None:
    for process in (started := start(count, *words)):
        process.wait()
    assert [p.returncode for p in started] == [0] * count, [p.error.read_text() for p in started]


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if not k.startswith(CHANGES_WITH_THE_CUT)} for line in lines
    ]


def adapter(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / f"step_{step:06d}" / "adapter_model.safetensors")


def completions(folder: Path) -> list[list[str]]:
    """All that a run has sampled, to train and to evaluate."""
    files = sorted(folder.glob("rollouts/*.parquet")) + sorted(folder.glob("eval/*/*/*.parquet"))
    return [pandas.read_parquet(file)["completion"].tolist() for file in files]


def assert_same_run(
    one: Path, other: Path, step: int, tolerance: float = 1e-6, sampler_kl: float = 1e-6
) -> None:
    """Metrics and adapter agree; the files are the same set. In bfloat16 `sampler_kl` is rounding."""
    for mine, theirs in zip(metrics(one), metrics(other), strict=True):
        assert mine.keys() == theirs.keys()
        for key, value in theirs.items():
            allowed = sampler_kl if key == "sampler_kl" else tolerance
            near = value if value is None else pytest.approx(value, rel=1e-4, abs=allowed)
            assert mine[key] == near, key
    ours, its = adapter(one, step), adapter(other, step)
    assert max(float((ours[k] - its[k]).abs().max()) for k in ours) < tolerance
    names = [
        {p.relative_to(f).as_posix() for p in f.rglob("*") if "tfevents" not in p.name}
        for f in (one, other)
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("name", "counts"),
    [(name, (2,)) for name in IN_EVERY_TEST_RUN]
    + [
        pytest.param(n, (4,) if n in IN_EVERY_TEST_RUN else (2, 4), marks=pytest.mark.long)
        for n in METHODS
    ],
)
def test_several_processes_make_the_steps_of_one(base, tmp_path, name, counts):
    sections = {
        "optimizer": {"tokens_per_pass": 400, "lr": 5e-5},  # a last digit may turn a token
        "run": {"steps": 3, "save_every": 3},
    }
    for section, keys in METHODS[name].items():
        sections[section] = {**sections.get(section, {}), **keys}
    run(1, config_file(tmp_path / "1", base, **sections))
    for count in counts:
        run(count, config_file(tmp_path / str(count), base, **sections))
        assert_same_run(tmp_path / "1" / "run", tmp_path / str(count) / "run", 3)


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 4])
def test_a_sharded_base_in_bfloat16_with_checkpointed_activations_teaches_the_same(
    base, tmp_path, count
):
    sections = {
        "run": {"steps": 3, "save_every": 3},
        "model": {"dtype": "bfloat16", "gradient_checkpointing": True},
        "rollout": {"prompts": 4, "completions": 4},
        "optimizer": {"tokens_per_pass": 150, "epochs": 2},
        "eval": {"data": "synth:heldout,n=7,levels=1", "n": 2},
    }
    for seed in range(8):  # rounded to bfloat16, what is sampled together may turn a token
        sections["run"]["seed"], folder = seed, tmp_path / str(seed)
        folder.mkdir()
        run(1, config_file(folder / "one", base, **sections))
        run(count, config_file(folder / "many", base, **sections, parallel={"shard": True}))
        if completions(one := folder / "one" / "run") == completions(
            many := folder / "many" / "run"
        ):
            break
    else:
        pytest.fail("other completions")
    assert_same_run(one, many, 3, sampler_kl=1e-4)


def test_more_processes_than_prompts_and_odd_counts_change_nothing(base, tmp_path):
    sections = {
        "run": {"steps": 2, "save_every": 2},
        "rollout": {"prompts": 3, "completions": 3},
        "optimizer": {"tokens_per_pass": 60},
        "eval": {"data": "synth:heldout,n=5,levels=1", "n": 3},
    }
    for count in (1, 4):
        run(count, config_file(tmp_path / str(count), base, **sections))
    assert_same_run(tmp_path / "1" / "run", tmp_path / "4" / "run", 2)
    found = [
        pandas.read_parquet(next((tmp_path / n / "run" / "eval").glob("*/*/samples.parquet")))
        for n in ("1", "4")
    ]
    assert found[0]["completion"].tolist() == found[1]["completion"].tolist()


def test_the_number_of_processes_may_change_on_resume(base, tmp_path):
    whole = config_file(tmp_path / "whole", base, run={"steps": 6})
    run(1, whole)
    parts = config_file(tmp_path / "parts", base, run={"steps": 2})
    run(1, parts)
    run(2, parts, "--resume", "--run.steps", "4")
    run(1, parts, "--resume", "--run.steps", "6")
    assert_same_run(tmp_path / "whole" / "run", tmp_path / "parts" / "run", 6)


def wait_for_line(folder: Path, count: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    file = folder / "metrics.jsonl"
    while not file.is_file() or len(file.read_text().splitlines()) < count:
        assert time.monotonic() < deadline, "no step was made"
        time.sleep(0.02)


def test_one_rank_asked_to_stop_stops_all_after_the_same_step(base, tmp_path):
    config = config_file(tmp_path, base, run={"steps": 200, "save_every": 200})
    started = start(2, config)
    wait_for_line(tmp_path / "run", 2)
    started[1].send_signal(signal.SIGTERM)
    assert [p.wait(60) for p in started] == [0, 0]
    steps = [line["step"] for line in metrics(tmp_path / "run")]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) < 200
    assert adapter(tmp_path / "run", steps[-1])
    assert "stopped after step" in started[0].out.read_text()


@pytest.mark.parametrize("killed", [0, 1])
def test_where_one_rank_dies_the_others_say_so_in_one_line(base, tmp_path, killed):
    started = start(2, config_file(tmp_path, base, run={"steps": 200}))
    wait_for_line(tmp_path / "run", 2)
    started[killed].send_signal(signal.SIGKILL)
    begun = time.monotonic()
    other = started[1 - killed]
    assert other.wait(30) == 2
    assert time.monotonic() - begun < 30
    [line] = [x for x in other.error.read_text().splitlines() if x.startswith("error:")]
    assert "has ended" in line
    assert "Traceback" not in other.error.read_text()


@pytest.mark.long  # torchrun starts Python with all imports four times
@pytest.mark.timeout(600)
def test_torchrun_starts_a_killed_rank_again_and_the_run_is_as_if_uninterrupted(base, tmp_path):
    settings = {"run": {"steps": 6, "save_every": 2}}
    run(2, config_file(tmp_path / "whole", base, **settings))
    config = config_file(tmp_path / "killed", base, **settings)
    words = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "2", "-m", "train"]
    process = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *words, str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for_line(tmp_path / "killed" / "run", 3, 120)
    found = subprocess.run(
        ["pgrep", "-f", "--", f"train.*{config}"], capture_output=True, text=True, check=True
    )
    children = [int(pid) for pid in found.stdout.split() if int(pid) != process.pid]
    subprocess.run(["kill", "-KILL", str(max(children))], check=True)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert_same_run(tmp_path / "whole" / "run", tmp_path / "killed" / "run", 6)


@pytest.mark.long  # an engine for each rank
@pytest.mark.timeout(900)
@pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform")
def test_ranks_that_each_have_a_vllm_engine_make_the_steps_of_one(base, tmp_path):
    sections = {
        "sampling": {"backend": "vllm", "max_tokens": 24},
        "optimizer": {"tokens_per_pass": 400, "lr": 5e-5},
        "run": {"steps": 4, "save_every": 2},
        "eval": {"data": "synth:heldout,n=7,levels=1", "n": 2},
    }
    for count in (1, 2):
        config = config_file(tmp_path / str(count), base, **sections)
        words = ["--standalone", "--nproc-per-node", str(count), "-m", "train", str(config)]
        for more in (["--run.steps", "2"], ["--resume", "--run.steps", "4"]):
            done = subprocess.run(
                [sys.executable, "-m", "torch.distributed.run", *words, *more],
                capture_output=True,
                text=True,
                timeout=400,
            )
            assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "1" / "run", tmp_path / "2" / "run", 4)


@pytest.mark.parametrize("name", ["trpo", "npg", "rlhf"])
def test_what_one_process_must_do_is_refused_with_its_line(base, tmp_path, name):
    for process in start(2, config_file(tmp_path, base, algorithm={"name": name})):
        assert process.wait(60) == 2
        assert f"'{name}' runs in one process" in process.error.read_text()
    assert not (tmp_path / "run").exists()


def test_a_rank_with_other_problems_is_refused(base, tmp_path):
    """Two machines whose copies of the data differ would each learn something else."""
    config = config_file(tmp_path, base)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    env = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        Command("train", config, *more, env={**env, "RANK": str(rank), "LOCAL_RANK": "0"})
        for rank, more in enumerate(([], ["--data.limit", "100"]))
    ]
    assert [p.wait(60) for p in started] == [2, 2]
    assert "is not the same for all 2 processes" in started[0].error.read_text()


def test_an_evaluation_by_three_processes_writes_the_bytes_of_one(base, finished_run, tmp_path):
    words = ["--model", base, "--adapter", finished_run / "checkpoints" / "step_000004"]
    words += ["--data", "synth:heldout,n=11,levels=1", "--n", "3", "--k", "1,3", "--max-tokens"]
    for count in (1, 3):
        started = start(count, *words, "24", "--out", tmp_path / str(count), module="eval")
        assert [p.wait() for p in started] == [0] * count, [p.error.read_text() for p in started]
        assert all(not p.out.read_text() for p in started[1:])
    one, three = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("1", "3")
    )
    assert one.keys() == three.keys()
    assert one["samples.parquet"] == three["samples.parquet"]
    assert one["results.json"] == three["results.json"]
