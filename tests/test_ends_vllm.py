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
from tests.test_ends import (
    EVALUATION,
    config_at,
    end_and_resume,
    expected_code,
    same_adapters,
    warns,
)
from tests.test_survival import without_times
from train.records.folder import RunFolder
from train.records.metrics import read_metrics
from train.run import Run, train

pytestmark = [
    pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform"),
    pytest.mark.timeout(1800),
]
STEPS = 16  # seven polite ends take two each


def begin(folder, base, *end):
    """Begin or resume a run with vLLM as a process that leads its group; its result, and its mark."""
    options = {"max_lora_rank": 8, "max_model_len": 256, "enforce_eager": True}
    settings = run_settings(
        folder / "r",
        base,
        run={"steps": STEPS, "save_every": 1},
        sampling={"backend": "vllm", "max_tokens": 24, "options": options},
        eval=EVALUATION,
    )
    (folder / "c.toml").write_text(tomli_w.dumps(settings))
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, "-m", "tests.ending", str(folder / "c.toml"), *end],
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


@pytest.mark.long
def test_ctrl_c_in_mid_step_finishes_and_saves_the_step_with_vllm(base, tmp_path):
    done, mark = begin(tmp_path, base, "prepare", "sigint-group")
    assert done.returncode == 0, done.stderr
    assert "finishing this step" in done.stderr
    assert "--resume" in done.stdout
    assert [line["step"] for line in read_metrics(tmp_path / "r")] == [1, 2]
    assert RunFolder(tmp_path / "r").checkpoint(2).is_dir()
    assert all_gone(mark)


@pytest.fixture(scope="module")
def uninterrupted(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm")
    done, _ = begin(folder, base)
    assert done.returncode == 0, done.stderr
    return folder / "r"


@pytest.mark.long
@pytest.mark.parametrize("end", ENDS)
def test_a_run_with_vllm_that_ends_in_every_stage_is_the_same_run_and_leaves_no_engine(
    base, uninterrupted, tmp_path, end
):
    run = tmp_path / "r"
    for stage in STAGES:
        done, mark = begin(tmp_path, base, stage, end)
        assert done.returncode == expected_code(stage, end), (stage, done.stderr)
        assert all_gone(mark), (stage, still_there(mark))
        steps = [line["step"] for line in read_metrics(run)]
        assert steps == list(range(1, len(steps) + 1)), stage
        assert len(steps) < STEPS or warns(stage, end), stage
    if not warns(stage, end):
        done, _ = begin(tmp_path, base)
        assert done.returncode == 0, done.stderr
    ours, theirs = without_times(read_metrics(run)), without_times(read_metrics(uninterrupted))
    assert [line["step"] for line in ours] == list(range(1, STEPS + 1))
    assert sum(line.get("eval/pass@1") is None for line in ours) == warns(stage, end)
    for mine, other in zip(ours, theirs, strict=True):
        if warns(stage, end) and mine.get("eval/pass@1") is None:  # the measurement that failed
            other = {k: v for k, v in other.items() if not k.startswith("eval/")}
            mine = {k: v for k, v in mine.items() if not k.startswith("eval/")}
        assert mine == other
    assert same_adapters(run, uninterrupted, STEPS)


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
