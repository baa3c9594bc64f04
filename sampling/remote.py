"""One vLLM server as its client sees it: requests with patience, its model, its adapters."""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from common.errors import UserError
from sampling.adapter_door import TOKEN
from sampling.adapter_store import FILES
from sampling.completion import is_cut_off
from sampling.server import ServerProcess, message

RETRIES = 3
BACKOFF = 0.5  # seconds before the first retry, doubled each time


class ServerGone(Exception):
    """A server is dead or silent."""


class Refusal(UserError):
    """A server's no, with its HTTP status."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Adapter:
    """An adapter's name on the servers, never used before, and its folder here."""

    name: str
    folder: Path


class Server:
    """One address, and what this sampler knows of it."""

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        *,
        model: str,
        uploads: bool = True,
        process: ServerProcess | None = None,
    ):
        """`uploads`: send adapters over HTTP if it takes them. `process`: it is our own."""
        self.url, self.model, self.process = url.rstrip("/"), model, process
        self._client, self._uploads = client, uploads
        self.in_service = True
        self.served = model  # what it calls the base
        self.context = 1 << 20  # tokens
        self.asked = 0  # completion requests on their way
        self.heard = time.monotonic()  # when it last answered
        self.silent = asyncio.Event()
        self._loaded: set[str] = set()  # adapters that it serves
        self.held: set[str] = set()  # adapters that it has something of
        self._giving = asyncio.Lock()

    async def request(self, method: str, path: str, **content: Any) -> Any:
        """The reply, whole; raises what `_reply` does."""
        reply = await self._reply(method, path, **content)
        return reply.json() if "json" in reply.headers.get("content-type", "") else None

    async def _reply(
        self, method: str, path: str, *, stream: bool = False, **content: Any
    ) -> httpx.Response:
        """A reply that is no refusal; with `stream`, still to be read and closed. Silence, overload
        and faults (429, 5xx) are tried again, then ServerGone; what is refused is a Refusal."""
        why = ""
        for attempt in range(RETRIES + 1):
            if attempt:
                await asyncio.sleep(BACKOFF * 2 ** (attempt - 1))
            try:
                asked = self._client.build_request(method, self.url + path, **content)
                reply = await self._client.send(asked, stream=stream)
                if reply.status_code >= 400:
                    await reply.aread()
            except httpx.TransportError as error:
                why = f"no vLLM server answers ({type(error).__name__}: {error})"
            else:
                self.heard = time.monotonic()
                status = reply.status_code
                if status < 400:
                    return reply
                refused = (status < 500 and status != 429) or status == 507
                if not refused:
                    await self._check_process()  # a dying server may still answer
                if refused or "lora_adapter" in path:  # vLLM says 500 to one it cannot take
                    why = message(reply)
                    if status == 401 and TOKEN not in why:  # another server's words
                        why += f" (set {TOKEN} to the server's token)"
                    raise Refusal(status, f"{self.url}{path}: {why}")
                why = f"the vLLM server cannot answer ({message(reply)})"
                continue
            await self._check_process()
        if self.process is not None:  # alive and well, and it will not answer
            raise UserError(f"{self.url}: {why} (log: {self.process.log})")
        raise ServerGone(f"{self.url}: {why}")

    async def is_healthy(self, patience: float) -> bool:
        """Whether the server says that it is well, within `patience` seconds."""
        try:
            reply = await self._client.get(f"{self.url}/health", timeout=patience)
        except httpx.TransportError:
            return False
        self.heard = time.monotonic()
        return reply.is_success

    async def _check_process(self) -> None:
        """Raise ServerGone if our own server is dead or about to be."""
        if self.process is None:
            return
        for _ in range(4):
            if not self.process.alive:
                raise ServerGone(f"{self.url}: the vLLM server died")
            await asyncio.sleep(0.25)
        if not await self.is_healthy(3):
            raise ServerGone(f"{self.url}: the vLLM server is dying")

    async def meet(self) -> None:
        """Learn what it calls the base, how long its context is, and how it takes adapters.

        Raises UserError if it serves another model.
        """
        models = (await self.request("GET", "/v1/models"))["data"]
        for one in models:
            if self.model in (one["id"], one.get("root")):
                self.served, self.context = one["id"], int(one.get("max_model_len") or 1 << 20)
                break
        else:
            served = ", ".join(str(one["id"]) for one in models)
            raise UserError(
                f"{self.url} does not serve {self.model}; it serves {served or 'nothing'}"
            )
        if self._uploads:
            try:
                self._uploads = "limit" in (await self.request("GET", "/adapters") or {})
            except Refusal:  # a vLLM server without the door
                self._uploads = False

    async def complete(self, body: dict[str, Any], adapter: Adapter | None) -> Any:
        """The reply to a completion request, by the base or an adapter on it."""
        reply = (await self._asked(body, adapter)).json()
        for choice in reply.get("choices", ()):
            self._check_tokens(choice)
            self._check_ending(choice)
        return reply

    async def stream(
        self, body: dict[str, Any], adapter: Adapter | None, give: Callable[[dict[str, Any]], None]
    ) -> None:
        """The same in pieces, each given away as it comes.

        It is finished once each of the `n` choices has its finish reason; raises ServerGone where
        it ends before.
        """
        reply = await self._asked({**body, "stream": True}, adapter)
        going_on = set(range(body.get("n", 1)))
        try:
            async for line in reply.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                piece = json.loads(line.removeprefix("data: "))
                if "error" in piece:
                    why = " ".join(str(piece["error"]).split())[:300]
                    raise ServerGone(f"{self.url}: the vLLM server failed: {why}")
                for choice in piece["choices"]:
                    self._check_tokens(choice)
                    if choice["finish_reason"]:
                        self._check_ending(choice)
                        going_on.discard(choice["index"])
                give(piece)
        except (httpx.TransportError, ValueError) as error:
            raise ServerGone(
                f"{self.url}: the vLLM server stopped answering ({type(error).__name__})"
            ) from None
        finally:
            await reply.aclose()
        if going_on:
            raise ServerGone(f"{self.url}: the vLLM server broke its answer off")

    async def _asked(
        self, body: dict[str, Any], adapter: Adapter | None, again: bool = False
    ) -> httpx.Response:
        """The reply to a completion request; asked once more where the adapter is lost."""
        await self.give(adapter)
        named = {**body, "model": adapter.name if adapter else self.served}
        stream = bool(body.get("stream"))
        try:
            return await self._reply("POST", "/v1/completions", stream=stream, json=named)
        except Refusal as no:
            if no.status != 404 or adapter is None or again:
                raise
        self._loaded.discard(adapter.name)  # the server was started again meanwhile
        return await self._asked(body, adapter, again=True)

    def _check_tokens(self, choice: dict[str, Any]) -> None:
        if choice.get("text") and choice.get("token_ids") is None:
            raise UserError(
                f"{self.url}: the server sends no token ids; it is no vLLM server, or too old a one"
            )

    def _check_ending(self, choice: dict[str, Any]) -> None:
        try:
            is_cut_off(choice.get("finish_reason"))
        except UserError as error:  # the engine is being ended
            raise ServerGone(f"{self.url}: {error}") from None

    # -- adapters

    def has(self, adapter: Adapter | None) -> bool:
        """Whether it serves this adapter."""
        return adapter is None or adapter.name in self._loaded

    async def give(self, adapter: Adapter | None) -> None:
        """See to it that the server has an adapter; UserError where it cannot serve it."""
        async with self._giving:
            if adapter is None or self.has(adapter):
                return
            self.held.add(adapter.name)
            try:
                folder = await self._upload(adapter) if self._uploads else str(adapter.folder)
                body = {"lora_name": adapter.name, "lora_path": folder}
                await self.request("POST", "/v1/load_lora_adapter", json=body)
            except Refusal as no:
                if "already been loaded" not in str(no):  # by a request whose reply was lost
                    why = f"{adapter.folder}: the server cannot serve this adapter: {no}"
                    raise UserError(why) from None
            self._loaded.add(adapter.name)

    async def _upload(self, adapter: Adapter) -> str:
        """Send an adapter's files; returns where they lie on the server."""
        for file in FILES:
            content = (adapter.folder / file).read_bytes()
            headers = {"x-checksum-sha256": hashlib.sha256(content).hexdigest()}
            path = f"/adapters/{adapter.name}/{file}"
            kept = await self.request("PUT", path, content=content, headers=headers)
        return kept["path"]

    async def keep_only(self, adapter: Adapter | None) -> None:
        """Remove the adapters that are no longer served, if the server hears of it."""
        for name in self.held - {adapter.name if adapter else None}:
            self.held.discard(name)
            self._loaded.discard(name)
            if self._uploads:
                asked = self._client.delete(f"{self.url}/adapters/{name}", timeout=10)
            else:
                url = f"{self.url}/v1/unload_lora_adapter"
                asked = self._client.post(url, json={"lora_name": name}, timeout=10)
            with contextlib.suppress(httpx.HTTPError):
                await asked
