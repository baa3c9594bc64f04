"""Worker processes, each killed and replaced when a check takes too long."""

import collections
import concurrent.futures
import dataclasses
import itertools
import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rewards.equality.answers import Decision, Form, Undecided
from rewards.extract import extract
from rewards.verdict import Verdict, verdict
from rewards.workers.process import Worker

SHARE = 256  # checks a message
MAX_EXTRA = 8  # workers more than `size` while slow checks hold up others
GRACE = 0.5  # seconds that the cheap checks before a slow one in a share may take

Pair = tuple[str, str] | tuple[str, str, bool]  # completion, gold, whether it was cut off


class Rules(NamedTuple):
    """How a share of pairs is checked; `timeout` in seconds a check."""

    timeout: float
    strict: bool
    form: Form


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

    def check_each(self, pairs: Iterable[Pair], rules: Rules) -> Iterator[Verdict]:
        """Verdicts in order; each worker checks shares of the pairs, few of which wait at once."""
        waiting: collections.deque[concurrent.futures.Future[list[Verdict]]] = collections.deque()
        source = iter(pairs)
        with concurrent.futures.ThreadPoolExecutor(self._size) as threads:
            while share := list(itertools.islice(source, SHARE)):
                waiting.append(threads.submit(self._check_share, share, rules))
                if len(waiting) > 2 * self._size:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _check_share(self, share: list[Pair], rules: Rules) -> list[Verdict]:
        verdicts: list[Verdict] = []
        while len(verdicts) < len(share):
            try:
                worker: Worker | None = self._borrow(rules.timeout)
            except ConnectionError as error:
                why = f"cannot be compared ({error})"
                return [*verdicts, *(Verdict(0, None, why, 0.0) for _ in share[len(verdicts) :])]
            assert worker is not None
            try:
                worker.send({"pairs": share[len(verdicts) :], "rules": rules})
                while len(verdicts) < len(share):
                    begun = time.perf_counter()
                    replies = worker.reply(rules.timeout + GRACE)
                    if replies is None:
                        worker.kill()
                        worker = None
                        verdicts.append(_stuck(share[len(verdicts)], begun, rules))
                        break
                    verdicts.extend(Verdict(*reply) for reply in replies)
            finally:
                self._give_back(worker)
        return verdicts

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


def _stuck(pair: Pair, begun: float, rules: Rules) -> Verdict:
    found = extract(pair[0], strict=rules.strict, truncated=len(pair) > 2 and bool(pair[2]))
    return verdict(found, (0, _why(begun, rules.timeout), None), begun)


def _why(begun: float, timeout: float) -> str:
    late = time.perf_counter() - begun >= timeout
    return "timeout" if late else "cannot be compared (the worker died)"
