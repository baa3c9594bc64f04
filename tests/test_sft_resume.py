"""A fine-tuning that is stopped or killed goes on where it was, and ends in the same bytes."""

import json
import signal
import time

import pytest

from tests.fork_server import Command, command

STEPS = 12


def words(base, out, *more):
    """The command of a small fine-tuning by LoRA, its dropout on, so that random state counts."""
    (out.parent / "c.toml").write_text("")
    settings = {
        "run.out": out,
        "run.steps": STEPS,
        "run.save_every": 2,
        "model.path": base,
        "lora.rank": 4,
        "lora.dropout": 0.1,
        "data.train": "synth:train,n=500,levels=1",
        "data.batch": 32,
        "optimizer.lr": 1e-3,
        "optimizer.schedule": "cosine",
    }
    told = [word for key, value in settings.items() for word in (f"--{key}", value)]
    return ("train.sft", out.parent / "c.toml", *told, *more)


def left(out):
    """Where an unfinished fine-tuning keeps what it has learnt."""
    return out.with_name(f".{out.name}.unfinished")


def end_after_first_saving(base, out, how):
    """Begin a fine-tuning and send it a signal as soon as it has saved something; the process."""
    process = Command(*words(base, out))
    while not left(out).exists():
        assert process.poll() is None, process.error.read_text()
        time.sleep(0.002)
    process.send_signal(how)
    process.wait()
    return process


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "tuned"
    assert command(*words(base, out)).returncode == 0
    assert not left(out).exists()
    return out


def same(out, whole):
    names = ("adapter_model.safetensors", "metrics.jsonl")
    return all((out / name).read_bytes() == (whole / name).read_bytes() for name in names)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_as_if_it_had_never_stopped(base, whole, tmp_path, how):
    out = tmp_path / "tuned"
    process = end_after_first_saving(base, out, how)
    if process.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert process.returncode == (-how if how == signal.SIGKILL else 2)
    assert not out.exists()
    if how != signal.SIGKILL:
        assert "the same command goes on" in process.error.read_text()
    done = command(*words(base, out))
    assert done.returncode == 0, done.stderr
    assert "resumed after step" in done.stdout
    assert same(out, whole)
    assert not left(out).exists()


@pytest.mark.parametrize("what", ["rate", "data", "damage"])
def test_what_was_learnt_otherwise_is_not_taken_up(base, whole, tmp_path, what):
    out = tmp_path / "tuned"
    end_after_first_saving(base, out, signal.SIGKILL)
    more = {"rate": ("--optimizer.lr", 5e-4), "data": ("--data.batch", 16)}.get(what, ())
    if what == "damage":
        left(out).write_bytes(left(out).read_bytes()[:1000])
    done = command(*words(base, out, *more))
    assert done.returncode == 0, done.stderr
    assert "begins anew" in done.stdout
    assert len([json.loads(line) for line in (out / "metrics.jsonl").open()]) == STEPS
    assert same(out, whole) == (what == "damage")


def test_a_folder_in_the_place_of_the_state_is_one_line(tmp_path):
    left(tmp_path / "tuned").mkdir()
    done = command(*words("nowhere", tmp_path / "tuned"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "is a folder" in done.stderr


def test_less_memory_a_pass_may_be_tried(base, tmp_path):
    out = tmp_path / "tuned"
    end_after_first_saving(base, out, signal.SIGKILL)
    done = command(*words(base, out, "--optimizer.tokens_per_pass", 512, "--run.save_every", 5))
    assert "resumed after step" in done.stdout
