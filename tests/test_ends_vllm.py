"""A run with vLLM in process may end in any way too; its engine ends with it, not before."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import tomli_w

from sampling import load_sampler
from sampling.vllm_options import has_vllm
from tests.conftest import run_settings
from tests.ending import ENDS, STAGES
from tests.test_ends import config_at, end_and_resume, same_adapters
from tests.test_survival import without_times
from train.records.folder import RunFolder
from train.records.metrics import read_metrics
from train.run import Run, train

pytestmark = [
    pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform"),
    pytest.mark.timeout(1800),
]
EVALUATION = {"data": "synth:heldout,n=4,levels=1", "every": 1, "n": 2}
STEPS = 9
GROUP_ENDS = ["raise", "sigkill", "sigterm-group", "full-disk", "sigint-group"]


def settings_of(folder, base):
    """The configuration, as a file, of a run that samples with vLLM in process."""
    settings = run_settings(
        folder / "r",
        base,
        run={"steps": STEPS, "save_every": 1},
        eval=EVALUATION,
        sampling={"backend": "vllm", "max_tokens": 24},
    )
    path = folder / "c.toml"
    path.write_text(tomli_w.dumps(settings))
    return path


def run(module, *words):
    """A process that leads its group, run to its end; its result, and a mark on all it started."""
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        start_new_session=True, env={**os.environ, "MARK": mark}, timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip
    return done, mark


def still_there(mark):
    """The processes of a run that are still alive."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return found


def all_gone(mark):
    """Whether nothing of a run is left within a minute."""
    for _ in range(600):
        if not still_there(mark):
            return True
        signal.sigtimedwait([], 0.1)
    return False


def test_ctrl_c_in_mid_step_finishes_and_saves_the_step_with_vllm(base, tmp_path):
    config = settings_of(tmp_path, base)
    done, mark = run("tests.ending", config, "new", "prepare", "sigint-group", 1)
    assert done.returncode == 0, done.stderr
    assert "finishing this step" in done.stderr
    assert "--resume" in done.stdout
    assert [line["step"] for line in read_metrics(tmp_path / "r")] == [1, 2]
    assert RunFolder(tmp_path / "r").checkpoint(2).is_dir()
    assert all_gone(mark)


@pytest.fixture(scope="module")
def uninterrupted(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm")
    done, _ = run("train", settings_of(folder, base))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.long
@pytest.mark.parametrize("first", [0, 2])
def test_a_run_with_vllm_that_ends_in_every_stage_is_resumed_as_the_same_run(
    base, uninterrupted, tmp_path, first
):
    """One run, started again and again; each time it ends one stage later, by another means."""
    config, finished = settings_of(tmp_path, base), 0  # its steps that are saved
    for place, stage in enumerate(STAGES):
        end = GROUP_ENDS[(first + place) % len(GROUP_ENDS)]
        polite = end.endswith("-group")
        started = "resume" if finished else "new"
        done, mark = run("tests.ending", config, started, stage, end, 0 if polite else 1)
        code = -signal.SIGKILL if end == "sigkill" else 0 if polite else 1
        assert done.returncode == code, (stage, end, done.stderr)
        assert all_gone(mark), (stage, end, still_there(mark))
        finished += 1 + (stage == "evaluate" and not polite)
        assert len(list((tmp_path / "r" / "checkpoints").glob("step_*"))) == finished, (stage, end)
    done, mark = run("train", config, "--resume")
    assert done.returncode == 0, done.stderr
    assert all_gone(mark)
    ours, theirs = read_metrics(tmp_path / "r"), read_metrics(uninterrupted / "r")
    assert [line["step"] for line in ours] == list(range(1, STEPS + 1))
    assert without_times(ours) == without_times(theirs)
    assert same_adapters(tmp_path / "r", uninterrupted / "r", STEPS)


@pytest.fixture(scope="module")
def with_server(base, tmp_path_factory):
    """The settings of runs that ask one server, which outlives them; such a run that never ended."""
    folder = tmp_path_factory.mktemp("server")
    options = {"max_lora_rank": 8, "max_model_len": 256, "enforce_eager": True}
    with load_sampler("vllm-server", base, log=folder / "log", **options) as sampler:
        sampling = {"backend": "vllm-server", "options": {"servers": list(sampler.urls)}}
        train(Run(config_at(folder / "whole", base, sampling=sampling)))
        yield sampling, folder / "whole"


@pytest.mark.long
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_with_a_vllm_server_is_resumed_as_the_same_run(
    base, with_server, tmp_path, stage, end
):
    sampling, whole = with_server
    end_and_resume(config_at(tmp_path / "r", base, sampling=sampling), stage, end, whole)
