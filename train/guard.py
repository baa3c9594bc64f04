"""What stands around the loop: signals ask it to stop politely, out of memory becomes advice."""

import contextlib
import dataclasses
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from common.errors import UserError, first_line, out_of_memory
from train.config import TrainConfig
from train.records.folder import resume_command


@dataclasses.dataclass
class Stop:
    """Whether someone asked the run to stop."""

    wanted: bool = False


@contextlib.contextmanager
def polite_stop() -> Iterator[Stop]:
    """Within, SIGTERM and Ctrl-C set `wanted`: the run stops after the step at hand.

    A second Ctrl-C stops at once.
    """
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


@contextlib.contextmanager
def memory_advice(config: TrainConfig) -> Iterator[None]:
    """Running out of memory inside the block becomes a UserError that says what needs less."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        half = max(1, config.optimizer.pass_size() // 2)
        raise UserError(
            f"out of memory ({first_line(error)}). These need less: a lower "
            f"optimizer.tokens_per_pass (it is {config.optimizer.pass_size()}), "
            "model.gradient_checkpointing, sampling.sleep with vLLM. For instance: "
            f"{resume_command(config)} --optimizer.tokens_per_pass {half}"
        ) from error
