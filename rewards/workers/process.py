"""One worker process over pipes: JSON lines in, JSON lines out, killed when it takes too long.

Plain subprocesses: unlike multiprocessing's pools they start the same from any thread, notebook
or script without a main guard, and inherit nothing from a process full of torch threads; unlike
`concurrent.futures` they can be killed one by one.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

from rewards.equality.symbolic import LOADING

START_UP = 30.0  # seconds that a worker may take to start


class Worker:
    """One process that runs a module; answers one message at a time."""

    def __init__(self, *command: str, start_up: float = START_UP) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, *sys.path, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", *(command or ("rewards.workers.worker",))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
            encoding="utf-8",
            errors="surrogatepass",
            start_new_session=True,  # Ctrl-C in the terminal is for the trainer
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self._lines.get(timeout=start_up)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")  # the end: the process is gone

    def send(self, message: object) -> None:
        """Write one message; a dead process shows when the reply is read."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass

    def reply(self, timeout: float) -> list | None:
        """One reply; None when the time is over or the process died. Loading sympy is free."""
        try:
            said = json.loads(self._lines.get(timeout=timeout) or "null")
            while isinstance(said, str):
                limit = START_UP if said == LOADING else timeout
                said = json.loads(self._lines.get(timeout=limit) or "null")
            return said
        except queue.Empty:
            return None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # unsent text for a process that is gone
                self._process.stdin.close()
