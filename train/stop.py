"""SIGTERM and Ctrl-C ask the run to stop after the step at hand; a second Ctrl-C stops at once."""

import contextlib
import dataclasses
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


@dataclasses.dataclass
class Stop:
    """Whether someone asked the run to stop."""

    wanted: bool = False


@contextlib.contextmanager
def polite_stop() -> Iterator[Stop]:
    """Within, the two signals set `wanted` instead of ending the process."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return

    def ask(number: int, _: FrameType | None) -> None:
        if stop.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.wanted = True
        print("finishing this step, then saving …", file=sys.stderr)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
