"""The models at work: on vLLM servers that serve them, else in this process's memory.

Each is found or loaded in the background; of those in memory the least recently used one is let go.
"""

import collections
import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any, Protocol

from common.errors import UserError, out_of_memory
from sampling import Completion, SamplingParams, load_sampler
from sampling.server_sampler import ServerSampler
from sampling.server_stream import ServerStreams
from sampling.shared_batch import SharedBatch
from sampling.torch_sampler import TorchSampler

MAX_BASES = 2
MARGIN = 1.1  # of a model's weights: what must be free to load it
Grown = Callable[[], list[Completion]]  # what has been written so far


class Base(Protocol):
    """A base model that writes and scores under any adapter (a folder; None: without)."""

    tokenizer: Any

    def write(
        self, prompt: list[int], n: int, adapter: str | None, params: SamplingParams
    ) -> Generator[Grown, None, None]:
        """N completions of a prompt as they grow."""

    def score(self, prompt: list[int], token_ids: list[int], adapter: str | None) -> list[float]:
        """Log-probs (nats, temperature 1) of given tokens after a prompt."""

    def close(self) -> None:
        """Leave nothing behind."""


class LocalBase:
    """A base in this process, whose askers share one batch."""

    def __init__(self, model: str):
        self._batch = SharedBatch(TorchSampler(model))
        self.tokenizer = self._batch.sampler.tokenizer

    def write(
        self, prompt: list[int], n: int, adapter: str | None, params: SamplingParams
    ) -> Generator[Grown, None, None]:
        with contextlib.closing(self._batch.write(prompt, n, adapter, params)) as written:
            for request in written:
                yield functools.partial(request.completions, self.tokenizer)

    def score(self, prompt: list[int], token_ids: list[int], adapter: str | None) -> list[float]:
        with self._batch.lock:
            return self._batch.sampler.score(prompt, token_ids, adapter)

    def close(self) -> None:
        pass


class Bases:
    """Base models by name. One that is slow to come, or never comes, holds up only its askers."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """`servers`: addresses of vLLM servers that see the runs under the same path."""
        self.servers = list(servers)
        self._coming: collections.OrderedDict[str, Future[Base]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, model: str, seconds: float) -> Base | None:
        """The base, or None if it is not there after some seconds; loading goes on meanwhile.

        Raises UserError if it cannot be loaded; who asks again tries again.
        """
        coming = self._begin(model)
        try:
            return coming.result(seconds)
        except NotYet:
            return None

    def wait(self, model: str) -> Base:
        """The base, however long it takes."""
        return self._begin(model).result()

    def close(self) -> None:
        """Take the adapters off the servers that were put there."""
        for coming in self._coming.values():
            if coming.done() and not coming.exception():
                coming.result().close()

    def _begin(self, model: str) -> Future[Base]:
        with self._lock:
            known = self._coming.get(model)
            if known is None or (known.done() and known.exception()):
                known = self._coming[model] = Future()
                threading.Thread(target=self._load, args=(model, known), daemon=True).start()
            self._coming.move_to_end(model)
            local = [m for m, coming in self._coming.items() if not _is_served(coming)]
            for old in local[:-MAX_BASES]:
                del self._coming[old]
            return known

    def _load(self, model: str, coming: Future[Base]) -> None:
        try:
            coming.set_result(self._served(model) or _local(model))
        except Exception as error:  # told to everybody who waits for it
            coming.set_exception(_too_large(model) if out_of_memory(error) else error)

    def _served(self, model: str) -> Base | None:
        """The model on the servers, if they are there and serve it."""
        if not self.servers:
            return None
        try:
            sampler = load_sampler("vllm-server", model, servers=self.servers)
        except UserError as error:
            print(f"{error}; the app samples {model} by itself", file=sys.stderr)
            return None
        assert isinstance(sampler, ServerSampler)
        return ServerStreams(sampler)


def _is_served(coming: Future[Base]) -> bool:
    return coming.done() and not coming.exception() and isinstance(coming.result(), ServerStreams)


def _local(model: str) -> Base:
    _check_room(model)
    return LocalBase(model)


def _check_room(model: str) -> None:
    """Raises UserError for a model folder whose weights are larger than the free memory."""
    import torch

    weights = sum(file.stat().st_size for file in Path(model).glob("*.safetensors"))
    if torch.cuda.is_available():
        free = torch.cuda.mem_get_info()[0]
    else:
        try:
            told = Path("/proc/meminfo").read_text().split("MemAvailable:")[1]
        except (OSError, IndexError):
            return
        free = int(told.split()[0]) * 1024
    if weights * MARGIN > free:
        raise _too_large(model, f": {weights / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free")


def _too_large(model: str, numbers: str = "") -> UserError:
    return UserError(
        f"{model} does not fit into this machine's memory{numbers}; take a smaller model, a "
        "machine with more memory, or vLLM servers on another one (--servers URL)"
    )
