"""A process of vLLM lives exactly as long as the process that asked for it.

A signal to the whole process group (Ctrl-C, `timeout`, a scheduler) would end the engine in the
middle of the step that the trainer is about to finish; and a trainer that was killed would leave an
engine or a server behind that holds the memory for ever. So each has a session of its own, an
engine lets the signals of a polite end pass, and both look each second whether their parent lives.
"""

import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_plain: Callable[..., None] | None = None  # vLLM's own start, where this process was forked


@contextlib.contextmanager
def engine_of_this_process() -> Iterator[None]:
    """Engines that are started within outlive signals to the group, but not this process."""
    global _plain
    from vllm.v1.engine.core import EngineCoreProc

    _plain = EngineCoreProc.run_engine_core
    EngineCoreProc.run_engine_core = staticmethod(run_engine)
    try:
        yield
    finally:
        EngineCoreProc.run_engine_core = staticmethod(_plain)


def run_engine(*args: Any, **options: Any) -> None:
    """vLLM's engine, away from the signals of its parent's group: what its process runs."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        _end_with(parent.pid)
    from vllm.v1.engine.core import EngineCoreProc

    (_plain or EngineCoreProc.run_engine_core)(*args, **options)


def _end_with(parent: int) -> None:
    """Kill this process and its children, a group of their own, when the parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":  # MODULE PARENT FLAGS…: a server, which leads its process group
    module, parent = sys.argv.pop(1), int(sys.argv.pop(1))
    _end_with(parent)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
