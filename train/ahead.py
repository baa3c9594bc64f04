"""One step ahead: while a step is learnt, a thread has the next one sampled.

The rollout of step s + 1 is sampled with the adapter that step s − 1 made, so it is one step old
when it is learnt from; only the first of a run is not. A rollout in flight goes into the
checkpoint, and a resumed run learns from that very one.
"""

import concurrent.futures
import time
from collections.abc import Callable
from typing import Any

from train.rollout import Rollout, rollout_from_state, rollout_state

Make = Callable[[int], Rollout]


class Ahead:
    """Has rollouts made by `make` a step before they are asked for, up to the last step."""

    def __init__(self, make: Make, steps: int):
        self._make, self._steps = make, steps
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "rollouts")
        self._flight: concurrent.futures.Future[Rollout] | None = None
        self._ended = 0.0  # when the last flight did

    def next(self, step: int) -> Rollout:
        """The rollout of a step, made before if it could be; the next one is begun."""
        begun = time.perf_counter()
        rollout = self._flight.result() if self._flight else self._make(step)
        rollout.waits["time/wait_sampler_s"] = time.perf_counter() - begun
        self._flight = self._thread.submit(self._timed, step + 1) if step < self._steps else None
        return rollout

    def _timed(self, step: int) -> Rollout:
        rollout = self._make(step)
        self._ended = time.perf_counter()
        return rollout

    def land(self) -> None:
        """Wait for the rollout in flight: until then the sampler's adapter must not change."""
        if self._flight:
            rollout = self._flight.result()
            idle = max(0.0, time.perf_counter() - self._ended)
            rollout.waits.setdefault("time/wait_trainer_s", idle)

    def state(self) -> dict[str, Any] | None:
        """The rollout in flight, for a checkpoint."""
        return rollout_state(self._flight.result()) if self._flight else None

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on with a checkpoint's rollout."""
        if state is not None:
            self._flight = concurrent.futures.Future()
            self._flight.set_result(rollout_from_state(state))

    def close(self) -> None:
        """Ask for nothing more; what is in flight ends with its sampler."""
        self._thread.shutdown(wait=False, cancel_futures=True)
