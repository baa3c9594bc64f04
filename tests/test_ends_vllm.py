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
ALGORITHM = """
import os
import signal
import threading
import time
from pathlib import Path

from train.algorithms.grpo import Grpo


def end(how):
    if how == "raise":
        raise RuntimeError("the end")
    if how == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    os.killpg(0, signal.SIGTERM if how == "sigterm-group" else signal.SIGINT)


class Ending(Grpo):
    def prepare(self, rollout):
        note = Path(__file__).with_name("end")
        stage, how = note.read_text().split() if note.exists() else (None, None)
        if stage == "sample" and rollout.step == 1:  # let it come while step 2 is sampled
            note.unlink()
            metrics = Path(__file__).parent / "r" / "metrics.jsonl"

            def watch():
                while not metrics.read_text():
                    time.sleep(0.001)
                end(how)

            threading.Thread(target=watch, daemon=True).start()
        if stage == "prepare" and rollout.step == 2:
            note.unlink()
            end(how)
        return super().prepare(rollout)
"""


def begin(folder, base, *words):
    """Train three steps with vLLM as a process that leads its group; its result, and its mark."""
    (folder / "mine.py").write_text(ALGORITHM)
    settings = run_settings(
        folder / "r",
        base,
        run={"steps": 3, "save_every": 3},
        algorithm={"name": f"{folder / 'mine.py'}:Ending"},
        sampling={"backend": "vllm", "max_tokens": 24},
    )
    (folder / "c.toml").write_text(tomli_w.dumps(settings))
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, "-m", "train", str(folder / "c.toml"), *words],
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
    (tmp_path / "end").write_text("prepare sigint-group")
    done, mark = begin(tmp_path, base)
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
    return folder


@pytest.mark.long
@pytest.mark.parametrize("stage", ["sample", "prepare"])
@pytest.mark.parametrize("end", ["raise", "sigkill", "sigterm-group", "sigint-group"])
def test_however_a_run_with_vllm_ends_it_is_resumed_as_the_same_run_and_leaves_no_engine(
    base, uninterrupted, tmp_path, stage, end
):
    if (stage, end) == ("sample", "raise"):
        pytest.skip("nothing of ours runs in the main thread meanwhile")
    (tmp_path / "end").write_text(f"{stage} {end}")
    done, mark = begin(tmp_path, base)
    polite = end.endswith("-group")
    assert done.returncode == (-signal.SIGKILL if end == "sigkill" else 0 if polite else 1)
    assert all_gone(mark), still_there(mark)
    assert len(read_metrics(tmp_path / "r")) == (2 if polite else 1)
    done, _ = begin(tmp_path, base, "--resume")
    assert done.returncode == 0, done.stderr
    ours, theirs = read_metrics(tmp_path / "r"), read_metrics(uninterrupted / "r")
    assert [line["step"] for line in ours] == [1, 2, 3]
    assert without_times(ours) == without_times(theirs)
    assert same_adapters(tmp_path / "r", uninterrupted / "r")


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
