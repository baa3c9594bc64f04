"""The sampler over HTTP: one or several vLLM servers, ours or the user's own.

Each prompt is one request for its N completions, spread over the servers and bounded in number.
Connection errors are retried; a server that we started and that died is restarted once, and only
the prompts without an answer are asked again, so that no completion is lost or counted twice.
"""

import concurrent.futures
import dataclasses
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from common.errors import UserError
from sampling.completion import Completion, completion
from sampling.model import check_adapter, load_tokenizer
from sampling.sampler import Sampler, Settings, allowed_rank, default_dtype
from sampling.server import ServerProcess

RETRIES = 3
BACKOFF = 0.5  # seconds before the first retry, doubled each time


class ServerGone(Exception):
    """A server that we started is dead."""


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
        adapter_folder: str | Path | None = None,
        dtype: str = "auto",
        max_lora_rank: int = 64,
        log: str | Path | None = None,
        **engine: Any,
    ):
        """`servers`: their addresses, each serving `model`; none: one is started here.

        `restart` allows one restart of our own server. `timeout` is for one request, in seconds.
        Adapters travel by folder: with servers on other machines, `adapter_folder` must be one
        that all of them see under the same path. `engine` are flags of `vllm serve`, for our own.
        """
        self.name = str(model)
        self.tokenizer = load_tokenizer(model)
        self._own: ServerProcess | None = None
        self._restarts_left = int(restart)
        self._client = httpx.Client(timeout=httpx.Timeout(timeout, connect=5.0))
        self._threads = concurrent.futures.ThreadPoolExecutor(concurrency)
        self._temporary = adapter_folder is None
        self._folder = Path(adapter_folder or tempfile.mkdtemp(prefix="mathgrpo-adapter-"))
        self._served, self._adapters = self.name, itertools.count(1)
        self._adapter: tuple[str, Path] | None = None  # its name on the servers, its folder
        if servers is None:
            if not _on_cuda():  # see VllmSampler
                engine = {"enable_chunked_prefill": False, **engine}
            self._own = ServerProcess(
                self.name,
                log=log,
                dtype=default_dtype(dtype),
                max_lora_rank=allowed_rank(max_lora_rank),
                **engine,
            )
            servers = self._own.url
        self.urls = [servers] if isinstance(servers, str) else list(servers)
        try:
            self.context = min(self._context(url) for url in self.urls)
            if adapter is not None:
                self.update_adapter(adapter)
        except BaseException:
            self.close()
            raise

    @property
    def server(self) -> ServerProcess | None:
        """The server that was started here, if one was."""
        return self._own

    def _context(self, url: str) -> int:
        """The context length of the model a server serves; UserError if it is another model."""
        models = self._request("GET", url, "/v1/models")["data"]
        for model in models:
            if self.name in (model["id"], model.get("root")):
                self._served = model["id"]
                return int(model.get("max_model_len") or 1 << 20)
        served = ", ".join(str(model["id"]) for model in models)
        raise UserError(f"{url} does not serve {self.name}; it serves {served or 'nothing'}")

    def update_adapter(self, adapter: Any) -> None:
        old = self._adapter
        if adapter is None:
            self._adapter = None
        else:
            name = f"mathgrpo-{os.getpid()}-{next(self._adapters)}"
            if isinstance(adapter, str | Path):
                check_adapter(adapter, self.name)
                folder = Path(adapter).resolve()
            else:
                folder = self._folder / name
                adapter.save_pretrained(folder)
            self._adapter = name, folder
            self._load_adapter()
        if old is not None:
            for url in self.urls:
                self._request("POST", url, "/v1/unload_lora_adapter", {"lora_name": old[0]})
            if old[1].is_relative_to(self._folder):
                shutil.rmtree(old[1], ignore_errors=True)

    def _load_adapter(self) -> None:
        assert self._adapter is not None
        name, folder = self._adapter
        for url in self.urls:
            body = {"lora_name": name, "lora_path": str(folder)}
            try:
                self._request("POST", url, "/v1/load_lora_adapter", body)
            except UserError as error:
                self._adapter = None
                raise UserError(
                    f"{folder}: the server cannot serve this adapter: {error}"
                ) from None

    def _sample(
        self, prompts: list[list[int]], n: int, settings: Settings
    ) -> list[list[Completion]]:
        body = {
            **dataclasses.asdict(settings),
            "model": self._adapter[0] if self._adapter else self._served,
            "n": n, "top_k": settings.top_k or -1, "logprobs": 0,
            "return_token_ids": True, "skip_special_tokens": False,
        }  # fmt: skip
        groups: dict[int, list[Completion]] = {}
        while True:
            missing = [index for index in range(len(prompts)) if index not in groups]
            asked = {
                self._threads.submit(self._ask, prompts[i], body, place): i
                for place, i in enumerate(missing)
            }
            gone = None
            for answer in concurrent.futures.as_completed(asked):
                try:
                    groups[asked[answer]] = answer.result()
                except ServerGone as error:
                    gone = error
                except UserError:
                    for other in asked:
                        other.cancel()
                    raise
            if gone is None:
                return [groups[index] for index in range(len(prompts))]
            self._restart(gone)

    def _ask(self, prompt: list[int], body: dict[str, Any], place: int) -> list[Completion]:
        url = self.urls[place % len(self.urls)]
        room = min(body["max_tokens"], self.context - len(prompt))
        reply = self._request(
            "POST", url, "/v1/completions", {**body, "prompt": prompt, "max_tokens": room}
        )
        choices = sorted(reply["choices"], key=lambda choice: choice["index"])
        if len(choices) != body["n"]:
            raise UserError(f"{url} answered {len(choices)} completions instead of {body['n']}")
        return [
            completion(
                choice["token_ids"],
                choice["logprobs"]["token_logprobs"],
                choice["finish_reason"] == "length",
                self.tokenizer,
                body["stop"],
            )
            for choice in choices
        ]

    def _request(self, method: str, url: str, path: str, body: Any = None) -> Any:
        """A server's reply; connection errors are tried again, refusals are UserErrors."""
        for attempt in range(RETRIES + 1):
            try:
                reply = self._client.request(method, url + path, json=body)
            except httpx.TransportError as error:
                self._check_own()
                if attempt == RETRIES:
                    kind = type(error).__name__
                    raise UserError(f"{url}: no vLLM server answers ({kind}: {error})") from None
                time.sleep(BACKOFF * 2**attempt)
                continue
            if reply.status_code < 400:
                return reply.json() if "json" in reply.headers.get("content-type", "") else None
            if reply.status_code >= 500:
                time.sleep(BACKOFF)  # a dying server may still answer
                self._check_own()
            raise UserError(f"{url}{path}: {_message(reply)}")
        raise AssertionError("unreachable")

    def _check_own(self) -> None:
        """Raise ServerGone if our own server is dead or about to be."""
        if self._own is None:
            return
        for _ in range(4):
            if not self._own.alive:
                raise ServerGone
            time.sleep(0.25)
        try:
            healthy = httpx.get(f"{self._own.url}/health", timeout=3).status_code == 200
        except httpx.TransportError:
            healthy = False
        if not healthy:
            raise ServerGone

    def _restart(self, gone: ServerGone) -> None:
        assert self._own is not None
        if not self._restarts_left:
            self._own.stop()
            raise UserError(
                f"the vLLM server died and is not started again (log: {self._own.log})"
            ) from gone
        self._restarts_left -= 1
        self._own.start()
        self.urls = [self._own.url]
        if self._adapter is not None:
            self._load_adapter()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        if self._own is not None:
            self._own.stop()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)


def _message(reply: httpx.Response) -> str:
    """What a refusal says, on one line."""
    try:
        error = reply.json()
        text = error.get("message") or error["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        text = reply.text
    return f"{reply.status_code} {' '.join(str(text).split())[:300]}"


def _on_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
