"""A run may end in any stage of a step, by any means: resumed, it is the run that never ended."""

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import config_of
from tests.ending import ENDS, STAGES, end_at
from tests.test_survival import without_times
from train.records.folder import RunFolder
from train.records.metrics import read_metrics
from train.run import Run, train


def same_adapters(ours, theirs, step=3):
    """Whether two runs have the same adapter after a step, to the last bit."""
    a, b = (
        load_file(RunFolder(run).checkpoint(step) / "adapter_model.safetensors")
        for run in (ours, theirs)
    )
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in b)


EVALUATION = {"data": "synth:heldout,n=6,levels=1", "every": 1, "n": 2}


def config_at(folder, base, **sections):
    return config_of(folder, base, run={"steps": 3, "save_every": 1}, eval=EVALUATION, **sections)


@pytest.fixture(scope="module")
def uninterrupted(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ends") / "whole"
    train(Run(config_at(folder, base)))
    return folder


@pytest.mark.parametrize(
    ("stage", "end"),
    [
        (stage, end)
        if stage == "update" or end == "sigkill"
        else pytest.param(stage, end, marks=pytest.mark.long)
        for stage in STAGES
        for end in ENDS
    ],
)
def test_however_and_wherever_a_run_ends_it_is_resumed_as_the_same_run(
    base, uninterrupted, tmp_path, stage, end
):
    end_and_resume(config_at(tmp_path / "r", base), stage, end, uninterrupted)


def warns(stage, end):
    """Whether the run goes on after a warning, with one measurement less."""
    return (stage, end) == ("evaluate", "raise")


def expected_code(stage, end):
    """The exit code of a run that meets such an end."""
    stops = end.startswith(("sigterm", "sigint")) or warns(stage, end)
    return {"sigkill": -signal.SIGKILL}.get(end, 0 if stops else 1)


def end_and_resume(config, stage, end, whole):
    """Let a run end in its second step, resume it, and compare it with one that never ended."""
    folder = Path(config.run.dir)
    child = os.fork()
    if not child:  # dies, or goes on, as a process of its own
        try:
            torch.set_num_threads(1)
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run = Run(config)
            end_at(run, stage, end, step=1)
            train(run)
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    goes_on = warns(stage, end)
    assert code == expected_code(stage, end)
    assert goes_on or len(read_metrics(folder)) < 3
    train(Run(config, resume=True))
    ours, theirs = read_metrics(folder), read_metrics(whole)
    assert [line["step"] for line in ours] == [1, 2, 3]
    if goes_on:
        ours, theirs = ([{**x, "eval/pass@1": None} for x in part] for part in (ours, theirs))
    assert without_times(ours) == without_times(theirs)
    assert same_adapters(folder, whole)
    if not goes_on:
        assert RunFolder(folder).best.read_text() == RunFolder(whole).best.read_text()


@pytest.mark.parametrize("what", ["evaluation", "tracker"])
def test_what_fails_beside_a_step_costs_a_warning_and_no_step(
    base, uninterrupted, tmp_path, capsys, monkeypatch, what
):
    run = Run(config_at(tmp_path / "r", base))
    if what == "evaluation":
        monkeypatch.setattr(run, "_measure", lambda _: 1 / 0)
    else:
        monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", lambda *_: 1 / 0)
    train(run)
    assert "ZeroDivisionError" in capsys.readouterr().err
    ours, theirs = read_metrics(tmp_path / "r"), read_metrics(uninterrupted)
    assert [line["step"] for line in ours] == [1, 2, 3]
    assert [x["loss"] for x in ours] == [x["loss"] for x in theirs]
