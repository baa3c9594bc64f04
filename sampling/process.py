"""The embedded sampler in a process of its own, so that it can sample while the trainer learns."""

import contextlib
import multiprocessing
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common.errors import UserError, first_line
from models.loading import context_length, load_adapter, load_model, load_tokenizer
from sampling.completion import Completion
from sampling.params import SamplingParams
from sampling.sampler import Sampler


class SamplerProcess(Sampler):
    """A torch sampler behind a pipe, with a copy of the base and the adapter it was last given."""

    backend = "torch"

    def __init__(self, model: Any, *, threads: int | None = None, **options: Any):
        """`threads` of the CPU it may take; none: half of them. `options` as of `TorchSampler`."""
        self.tokenizer = load_tokenizer(model)
        here, there = multiprocessing.Pipe()
        self._pipe, self._asking = here, threading.Lock()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(there, str(model), threads, options), daemon=True
        )
        with _interrupts_ignored():  # Ctrl-C asks the trainer to finish its step, which needs us
            self._process.start()
        there.close()
        self.context = self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise UserError("the sampler's process has ended") from None
        if isinstance(answer, UserError):
            raise answer
        return answer

    def _ask(self, *question: Any) -> Any:
        with self._asking:
            try:
                self._pipe.send(question)
            except OSError:
                raise UserError("the sampler's process has ended") from None
            return self._answer()

    def _sample(
        self, prompts: list[list[int]], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        return self._ask("sample", prompts, n, params)

    def update_adapter(self, adapter: Any) -> None:
        if adapter is None or isinstance(adapter, str | Path):
            self._ask("adapter", adapter and str(adapter))
            return
        folder = tempfile.mkdtemp(prefix="mathgrpo-adapter-")
        try:
            adapter.save_pretrained(folder)
            self._ask("adapter", folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        self._pipe.close()
        self._process.terminate()
        self._process.join(10)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Within, what is started ignores Ctrl-C from its first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, name: str, threads: int | None, options: dict[str, Any]) -> None:
    """Answer until the pipe closes."""
    import torch

    from sampling.torch_sampler import TorchSampler

    torch.set_num_threads(threads or max(1, torch.get_num_threads() // 2))
    try:
        loading = {k: options.pop(k) for k in ("dtype", "device", "quantize") if k in options}
        model = load_model(name, **loading)
        sampler = TorchSampler(model, tokenizer=load_tokenizer(name), **options)
        pipe.send(context_length(model.config))
        while True:
            what, *rest = pipe.recv()
            try:
                if what == "sample":
                    pipe.send(sampler.sample(*rest))
                else:
                    sampler.model = _with_adapter(model, sampler.model, rest[0], name)
                    pipe.send(None)
            except UserError as error:
                pipe.send(error)
            except Exception as error:
                pipe.send(UserError(f"the sampler's process: {first_line(error)}"))
    except (EOFError, OSError, KeyboardInterrupt):
        return
    except UserError as error:
        pipe.send(error)
    except Exception as error:  # while it opens
        pipe.send(UserError(f"the sampler's process: {first_line(error)}"))


def _with_adapter(base: Any, present: Any, folder: str | None, name: str) -> Any:
    """The model with the adapter of a folder in place of the present one."""
    if hasattr(present, "unload"):
        base = present.unload()
    return base if folder is None else load_adapter(base, folder, name).eval()
