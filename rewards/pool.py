"""Worker processes for sympy, each killed and replaced when a question takes too long.

Plain subprocesses over pipes: unlike multiprocessing's pools they start the same from any
thread, notebook or script without a main guard, and inherit nothing from a process full of
torch threads.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

START_UP = 30.0  # seconds that a worker may take to import sympy


class Worker:
    """One process; answers one question at a time."""

    def __init__(self) -> None:
        root = str(Path(__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rewards.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the trainer
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self._lines.get(timeout=START_UP)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")  # the end: the process is gone

    def ask(self, answer: str, gold: str, timeout: float) -> tuple[int, str] | None:
        """Reward and reason; None when the time is over or the process died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([answer, gold]) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=timeout)
        except (queue.Empty, OSError, ValueError):
            return None
        if not line:
            return None
        reward, reason = json.loads(line)
        return reward, reason

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Pool:
    """At most `size` workers, started when they are needed; may be asked from any thread."""

    def __init__(self, size: int):
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)
        self._size = size

    def ask(self, answer: str, gold: str, timeout: float) -> tuple[int, str]:
        """Reward and reason of one question, within `timeout` seconds of its start."""
        worker = self._idle.get()
        try:
            worker = worker or Worker()
            begun = time.perf_counter()
            reply = worker.ask(answer, gold, timeout)
            if reply is None:
                worker.kill()
                worker = None
                late = time.perf_counter() - begun >= timeout
                return 0, "timeout" if late else "cannot be compared (the worker died)"
            return reply
        except queue.Empty:
            worker = None
            return 0, "cannot be compared (no worker could be started)"
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """Stop the workers; a later question starts new ones."""
        workers = [self._idle.get() for _ in range(self._size)]
        for worker in workers:
            if worker is not None:
                worker.kill()
            self._idle.put(None)
