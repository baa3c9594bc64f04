"""The sampler over HTTP: one or several vLLM servers, ours or the user's own.

Each prompt is one request for its N completions, asked of the server with the fewest on their way,
and bounded in number. Connection errors, overload and passing faults are tried again. A server that
we started and that died is restarted once; of the user's own, one that is dead or silent is left
out while others live, and asked again when it is back. Each prompt is answered by one reply, so no
completion is lost or counted twice.
"""

import dataclasses
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError
from models.loading import check_adapter, eos_ids, load_tokenizer, resolve_dtype
from sampling.adapter_door import TOKEN
from sampling.completion import Completion, completion, is_cut_off
from sampling.params import SamplingParams
from sampling.remote import Adapter
from sampling.sampler import Sampler
from sampling.seeds import engine_seed, prompt_keys
from sampling.server import ServerProcess
from sampling.servers import Servers
from sampling.vllm_options import NEUTRAL, allowed_rank, has_gpu


class ServerSampler(Sampler):
    """Samples from OpenAI-compatible vLLM servers."""

    backend = "vllm-server"

    def __init__(
        self,
        model: Any,
        *,
        adapter: Any = None,
        servers: str | Sequence[str] | None = None,
        restart: bool = True,
        concurrency: int = 64,
        timeout: float = 600.0,
        patience: float = 30.0,
        adapter_folder: str | Path | None = None,
        dtype: str = "auto",
        max_lora_rank: int = 64,
        log: str | Path | None = None,
        **engine: Any,
    ):
        """`servers`: their addresses, each serving `model`; none: one is started here.

        `restart` allows one restart of our own server. `concurrency` bounds the requests on their
        way to all servers. `timeout` is for one request, `patience` for a sign of life from one of
        several servers, in seconds. Adapters go over HTTP to servers that take them
        (`mathgrpo serve`); with `adapter_folder`, or to other servers, by a folder that all see
        under the same path. The environment's MATHGRPO_TOKEN is shown to the servers. `engine` are
        flags of `vllm serve`, for our own. Raises UserError for a server that is silent, serves
        another model, or refuses.
        """
        self.name = str(model)
        self.tokenizer = load_tokenizer(model)
        self._own: ServerProcess | None = None
        self._ends = eos_ids(model, self.tokenizer)
        self._adapter: Adapter | None = None
        if servers is None:
            self._own = start_server(self.name, log, dtype, max_lora_rank, engine)
            servers = self._own.url
        elif engine:
            raise UserError(
                f"'{next(iter(engine))}' cannot be set for a server that already runs: give it to "
                f"`mathgrpo serve` (a token: in the environment, as {TOKEN})"
            )
        self._temporary = adapter_folder is None
        self._folder = Path(adapter_folder or tempfile.mkdtemp(prefix="mathgrpo-adapter-"))
        self.servers = Servers(
            self.name,
            [servers] if isinstance(servers, str) else list(servers),
            process=self._own,
            restarts=int(restart),
            uploads=adapter_folder is None,
            concurrency=concurrency,
            timeout=timeout,
            patience=patience,
        )
        try:
            self.servers.run(self.servers.meet())
            self.context = self.servers.context
            if adapter is not None:
                self.update_adapter(adapter)
        except BaseException:
            self.close()
            raise

    @property
    def server(self) -> ServerProcess | None:
        """The server that was started here, if one was."""
        return self._own

    @property
    def urls(self) -> list[str]:
        """The addresses of the servers that are asked at present."""
        return [server.url for server in self.servers.in_service()]

    def update_adapter(self, adapter: Any) -> None:
        old, new = self._adapter, None
        if adapter is not None:
            name = f"mathgrpo-{uuid.uuid4().hex}"  # no other run, nor this one before, has used it
            if isinstance(adapter, str | Path):
                check_adapter(adapter, self.name)
                new = Adapter(name, Path(adapter).resolve())
            else:
                new = Adapter(name, self._folder / name)
                adapter.save_pretrained(new.folder)
        try:
            self.servers.run(self.servers.use(new))
        except BaseException:
            self._forget(new)
            raise
        self._adapter = new
        self._forget(old)

    def _forget(self, adapter: Adapter | None) -> None:
        """Remove an adapter's files if we wrote them."""
        if adapter is not None and adapter.folder.is_relative_to(self._folder):
            shutil.rmtree(adapter.folder, ignore_errors=True)

    def _sample(
        self, prompts: list[list[int]], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        keys = prompt_keys(prompts, params.seed)
        bodies = [self.body(p, n, params, key) for p, key in zip(prompts, keys, strict=True)]
        replies = self.servers.run(self.servers.complete(bodies))
        return [self._group(reply, n, params.stop) for reply in replies]

    def body(self, prompt: list[int], n: int, params: SamplingParams, key: int) -> dict[str, Any]:
        """A request for n completions of a prompt; `key` is its random stream."""
        return {
            **dataclasses.asdict(params), "prompt": prompt, "n": n,
            "max_tokens": min(params.max_tokens, self.context - len(prompt)),
            "top_k": params.top_k or -1, "seed": engine_seed(key), "logprobs": 0, **NEUTRAL,
            "stop_token_ids": self._ends, "return_token_ids": True, "skip_special_tokens": False,
        }  # fmt: skip

    def _group(self, reply: Any, n: int, stop: Sequence[str]) -> list[Completion]:
        choices = sorted(reply["choices"], key=lambda choice: choice["index"])
        if [choice["index"] for choice in choices] != list(range(n)):
            raise UserError(f"a vLLM server answered {len(choices)} completions instead of {n}")
        return [
            completion(
                choice["token_ids"],
                choice["logprobs"]["token_logprobs"],
                is_cut_off(choice["finish_reason"]),
                self.tokenizer,
                stop,
            )
            for choice in choices
        ]

    def close(self) -> None:
        self.servers.close()
        if self._own is not None:
            self._own.stop()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)


def start_server(
    model: str, log: str | Path | None, dtype: str, max_lora_rank: int, engine: dict[str, Any]
) -> ServerProcess:
    """A vLLM server on this machine, with flags of `vllm serve`."""
    if not has_gpu():  # see VllmSampler
        engine = {"enable_chunked_prefill": False, **engine}
    return ServerProcess(
        model,
        log=log,
        dtype=resolve_dtype(dtype),
        max_lora_rank=allowed_rank(max_lora_rank),
        **engine,
    )
