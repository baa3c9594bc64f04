"""A run that meets its end in a chosen stage of a step.

As a process of its own, begun or resumed: `python -m tests.ending CONFIG [STAGE END]`.
"""

import os
import resource
import signal
import sys
import threading
from pathlib import Path

from train.config import TrainConfig, load_config
from train.run import Run, train

STAGES = ["sample", "check", "prepare", "update", "record", "save", "evaluate"]
ENDS = ["raise", "sigkill", "sigterm", "sigint-group", "full-disk"]
SIGNALS = {"sigkill": signal.SIGKILL, "sigterm": signal.SIGTERM, "sigint": signal.SIGINT}


def end_at(run: Run, stage: str, end: str, step: int) -> None:
    """Let a run meet its end in one stage of the step that follows `step` steps.

    A step is done once it is recorded: `save` and `evaluate` are those of step `step`.
    """
    places = {
        "sample": (run.rollouts, "next"),
        "check": (run.rewarder, "score"),
        "prepare": (run.algorithm, "prepare"),
        "update": (run.sampler, "update_adapter"),
        "record": (run, "record"),
        "save": (run, "save"),
        "evaluate": (run, "_measure"),
    }
    owner, name = places[stage]
    plain = getattr(owner, name)

    def ending(*words, **options):
        if run.done == step:
            setattr(owner, name, plain)
            if end == "raise":
                raise RuntimeError("the end")
            if end == "full-disk":  # from now on the system refuses every byte
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            elif stage == "sample":  # let it come while tokens are sampled
                threading.Timer(0.02, send, [end]).start()
            else:
                send(end)
        return plain(*words, **options)

    setattr(owner, name, ending)


def send(end: str) -> None:
    """Send this process a signal, or the whole group of which it is the first."""
    number = SIGNALS[end.removesuffix("-group")]
    if end.endswith("-group"):
        os.killpg(0, number)
    else:
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    path, *end = sys.argv[1:]
    config = load_config(TrainConfig, path)
    run = Run(config, resume=Path(config.run.dir).exists())
    if end:
        end_at(run, *end, step=run.done + 1)
    train(run)
