"""The user's reward functions in a process of their own, which is killed at the time limit.

Also `python -m rewards.workers.functions PATH`, that process.
"""

import base64
import contextlib
import json
import math
import os
import pickle
import queue
import sys
from collections.abc import Sequence
from typing import Any

from common.errors import UserError, first_line
from rewards.functions import RewardFunction, load_function
from rewards.workers.process import Worker

START_UP = 120.0  # seconds that importing the user's module may take


class FunctionRunner:
    """Runs a reward function on groups of completions, `timeout` seconds a group at most.

    A function that comes with the program runs here; the user's run in a process of their own,
    or here, without a limit, where problem or context cannot be sent to one.
    """

    def __init__(self, path: str, timeout: float = 10.0):
        """Raises UserError if there is no such function."""
        self.function, self.timeout = load_function(path), timeout
        self._worker: Worker | None = None

    def score(
        self, completions: Sequence[str], problem: Any, contexts: Sequence[dict[str, Any]]
    ) -> list[float]:
        """A reward for each completion; UserError naming the function if it fails or hangs."""
        known = [self.function.known(context) for context in contexts]
        found = None
        if not self.function.is_built_in:
            with contextlib.suppress(pickle.PicklingError, AttributeError, TypeError):
                found = pickle.dumps((list(completions), problem, known))
        if found is None:
            return checked(self.function, completions, problem, known)
        return self._in_worker(found)

    def _in_worker(self, message: bytes) -> list[float]:
        name = f"reward function '{self.function.path}'"
        if self._worker is None:
            try:
                self._worker = Worker(
                    "rewards.workers.functions", self.function.path, start_up=START_UP
                )
            except (OSError, queue.Empty):
                raise UserError(f"{name}: its process could not be started") from None
        self._worker.send([base64.b64encode(message).decode()])
        reply = self._worker.reply(self.timeout)
        if reply is None:
            self.close()
            raise UserError(f"{name}: no answer within {self.timeout:g} s, or its process died")
        rewards, complaint = reply
        if complaint:
            raise UserError(complaint)
        return rewards

    def close(self) -> None:
        """Stop the process, if there is one; a later call starts another."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


def checked(
    function: RewardFunction,
    completions: Sequence[str],
    problem: Any,
    contexts: Sequence[dict[str, Any]],
) -> list[float]:
    """The function's rewards; UserError if it raises or returns anything but finite numbers."""
    name = f"reward function '{function.path}'"
    try:
        found = function.score(completions, problem, contexts)
    except (Exception, SystemExit) as error:
        raise UserError(f"{name} raised {first_line(error)}") from error
    if len(found) != len(completions):
        raise UserError(f"{name} returned {len(found)} rewards for {len(completions)} completions")
    return [_number(value, name) for value in found]


def _number(value: Any, name: str) -> float:
    try:
        if value is None or isinstance(value, str | bytes):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"{name} returned {str(value)[:80]!r}, which is no number") from None
    if not math.isfinite(number):
        raise UserError(f"{name} returned {number}")
    return number


def main() -> None:
    """Serve until the input ends; what the user's code prints goes nowhere."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        function, complaint = load_function(sys.argv[1]), ""
    except UserError as error:
        function, complaint = None, str(error)
    print(json.dumps("ready"), file=replies, flush=True)
    for line in sys.stdin:
        completions, problem, contexts = pickle.loads(base64.b64decode(json.loads(line)[0]))
        rewards: list[float] = []
        if function is not None:
            complaint = ""
            try:
                rewards = checked(function, completions, problem, contexts)
            except UserError as error:
                complaint = str(error)
        print(json.dumps([rewards, complaint]), file=replies, flush=True)


if __name__ == "__main__":
    main()
