"""The processes that torchrun started for one command, and what they tell each other.

Control is replicated: every rank holds the same problems, rollouts and advantages, and takes the
same decisions. What is shared out comes back to all. Alone, everything here does nothing.
Objects travel through gloo, on the CPU. They have two lanes, so that sampling may go on in a
thread while the update adds gradients: within a lane all ranks call the same things in one order.
"""

import contextlib
import datetime
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from common.errors import UserError, first_line

T = TypeVar("T")
R = TypeVar("R")
Lane = Literal["control", "sampling"]

MEETING = datetime.timedelta(minutes=5)  # that ranks have to find each other
PATIENCE = datetime.timedelta(hours=2)  # that a rank waits for the slowest; deaths are seen at once


def rank() -> int:
    """The number of this process among those of its command; 0 alone."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """How many processes share the command; 1 alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """The number of this process on its machine, and of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this process writes and speaks for all."""
    return rank() == 0


def restarted() -> bool:
    """Whether torchrun has started the processes again after a death."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@functools.cache
def _lanes() -> dict[str, Any]:
    """Joins the other processes, once."""
    import torch
    import torch.distributed as dist
    from torch.distributed import distributed_c10d

    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl"
    store, number, count = next(dist.rendezvous("env://", timeout=MEETING))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt{attempt}", store)  # torchrun keeps it, addresses of the dead
    dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=MEETING)
    lanes = {
        name: dist.new_group(backend="gloo", timeout=MEETING) for name in ("control", "sampling")
    }
    for group in (None, *lanes.values()):
        distributed_c10d._set_pg_timeout(PATIENCE, group)
    return lanes


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Within, the processes are connected; a lost one becomes a UserError in all others."""
    if size() == 1:
        yield
        return
    import torch.distributed as dist

    with lost_peers_named():
        _lanes()
        yield
        dist.barrier(group=_lanes()["control"])
    with contextlib.suppress(RuntimeError):
        dist.destroy_process_group()
    _lanes.cache_clear()


@contextlib.contextmanager
def lost_peers_named() -> Iterator[None]:
    """What torch raises when another process ended becomes one line."""
    try:
        yield
    except RuntimeError as error:  # gloo and NCCL have no kind of their own for it
        said = str(error).lower()
        if not any(word in said for word in ("gloo", "connection", "nccl", "peer")):
            raise
        raise UserError(
            f"rank {rank()}: another of the {size()} processes has ended, so this one ends too; "
            f"its own message says why ({first_line(error)})"
        ) from error


def gather(value: T, lane: Lane = "control") -> list[T]:
    """Everybody's value, by rank."""
    if size() == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * size()
    dist.all_gather_object(found, value, group=_lanes()[lane])
    return found


def first(value: T, lane: Lane = "control") -> T:
    """The value that rank 0 has."""
    return gather(value if is_first() else None, lane)[0]  # type: ignore[return-value]


def any_of(flag: bool) -> bool:
    """Whether it is so for any rank."""
    return any(gather(flag))


def agreed(what: str, value: Any) -> None:
    """Raise UserError unless all ranks have the same value."""
    if any(other != value for other in gather(value)):
        raise UserError(f"{what} is not the same for all {size()} processes")


def shared(
    work: Callable[[list[T]], list[R]], items: Sequence[T], owners: Sequence[int] | None = None
) -> list[R]:
    """`work` on all items, each rank on those it owns (else in turn); the results in order.

    What goes wrong in one rank is raised in all.
    """
    if size() == 1:
        return work(list(items))
    owners = owners or [index % size() for index in range(len(items))]
    mine = [item for item, owner in zip(items, owners, strict=True) if owner == rank()]
    failed: Exception | None = None
    done: list[R] = []
    try:
        done = work(mine) if mine else []
    except Exception as error:
        failed = error
    told = str(failed) if isinstance(failed, UserError) else failed and first_line(failed)
    parts = gather((done, told), "sampling")
    if failed is not None:
        raise failed
    for number, (_, other) in enumerate(parts):
        if other is not None:
            raise UserError(f"rank {number}: {other}")
    queues = [iter(part) for part, _ in parts]
    return [next(queues[owner]) for owner in owners]
