"""Worker processes, each killed and replaced when a check takes too long.

Plain subprocesses over pipes: unlike multiprocessing's pools they start the same from any
thread, notebook or script without a main guard, and inherit nothing from a process full of
torch threads; unlike `concurrent.futures` they can be killed one by one.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rewards.decide import Decision, Undecided
from rewards.extract import extract
from rewards.symbolic import LOADING
from rewards.verdict import Verdict, verdict

START_UP = 30.0  # seconds that a worker may take to start
SHARE = 256  # checks a message
MAX_EXTRA = 8  # workers more than `size` while slow checks hold up others
GRACE = 0.5  # seconds that the cheap checks before a slow one in a share may take

Pair = tuple[str, str]


class Worker:
    """One process; answers one message at a time."""

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
            encoding="utf-8",
            errors="surrogatepass",
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
            self._process.stdin.close()


class Pool:
    """Normally `size` workers, started when they are needed; may be used from any thread.

    A question that would wait behind a slow one gets a worker of its own, within bounds. In a
    forked process the pool begins anew.
    """

    def __init__(self, size: int):
        self._size = size
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._extra = 0
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(self._size):
            self._idle.put(None)

    def _borrow(self, patience: float) -> Worker:
        """A worker; one more is started, one at a time, where none is free for `patience` s."""
        if self._owner != os.getpid():
            self._begin()
        while True:
            try:
                worker = self._idle.get(timeout=patience)
                break
            except queue.Empty:
                if self._extra >= MAX_EXTRA or not self._starting.acquire(blocking=False):
                    continue
                with self._lock:
                    self._extra += 1
                try:
                    return self._start()
                finally:
                    self._starting.release()
        return worker or self._start()

    def _start(self) -> Worker:
        try:
            return Worker()
        except (queue.Empty, OSError):
            self._give_back(None)
            raise ConnectionError("no worker could be started") from None

    def _give_back(self, worker: Worker | None) -> None:
        with self._lock:
            if self._extra and self._idle.qsize() >= self._size:
                self._extra -= 1
                if worker:
                    worker.kill()
                return
        self._idle.put(worker)

    def ask(self, question: Undecided, timeout: float) -> Decision:
        """The decision on one question, within `timeout` seconds of its start."""
        try:
            worker: Worker | None = self._borrow(timeout / 4)
        except ConnectionError as error:
            return 0, f"cannot be compared ({error})", question.read_as
        assert worker is not None
        try:
            begun = time.perf_counter()
            worker.send(dataclasses.astuple(question))
            reply = worker.reply(timeout)
            if reply is None:
                worker.kill()
                worker = None
                return 0, _why(begun, timeout), question.read_as
            return reply[0], reply[1], reply[2]
        finally:
            self._give_back(worker)

    def check_each(
        self, pairs: Iterable[Pair], timeout: float, *, strict: bool
    ) -> Iterator[Verdict]:
        """Verdicts in order; each worker checks shares of the pairs, few of which wait at once."""
        waiting: collections.deque[concurrent.futures.Future[list[Verdict]]] = collections.deque()
        source = iter(pairs)
        with concurrent.futures.ThreadPoolExecutor(self._size) as threads:
            while share := list(itertools.islice(source, SHARE)):
                waiting.append(threads.submit(self._check_share, share, timeout, strict))
                if len(waiting) > 2 * self._size:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _check_share(self, share: list[Pair], timeout: float, strict: bool) -> list[Verdict]:
        verdicts: list[Verdict] = []
        while len(verdicts) < len(share):
            try:
                worker: Worker | None = self._borrow(timeout)
            except ConnectionError as error:
                why = f"cannot be compared ({error})"
                return [*verdicts, *(Verdict(0, None, why, 0.0) for _ in share[len(verdicts) :])]
            assert worker is not None
            try:
                worker.send({"pairs": share[len(verdicts) :], "strict": strict})
                while len(verdicts) < len(share):
                    begun = time.perf_counter()
                    replies = worker.reply(timeout + GRACE)
                    if replies is None:
                        worker.kill()
                        worker = None
                        verdicts.append(
                            self._stuck(share[len(verdicts)][0], begun, timeout, strict)
                        )
                        break
                    verdicts.extend(Verdict(*reply) for reply in replies)
            finally:
                self._give_back(worker)
        return verdicts

    def _stuck(self, completion: str, begun: float, timeout: float, strict: bool) -> Verdict:
        found = extract(completion, strict=strict)
        return verdict(found, (0, _why(begun, timeout), None), begun)

    def close(self) -> None:
        """Stop the idle workers; a later question starts new ones."""
        if self._owner != os.getpid():
            return
        for _ in range(self._size):
            try:
                worker = self._idle.get(timeout=5)
            except queue.Empty:
                break
            if worker is not None:
                worker.kill()
            self._idle.put(None)


def _why(begun: float, timeout: float) -> str:
    late = time.perf_counter() - begun >= timeout
    return "timeout" if late else "cannot be compared (the worker died)"
