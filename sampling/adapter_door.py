"""How a vLLM server takes adapters over HTTP: an ASGI middleware, given to vLLM by `--middleware`.

    PUT    /adapters/NAME/adapter_config.json          with X-Checksum-SHA256: HEX
    PUT    /adapters/NAME/adapter_model.safetensors    replies {"path": …} for /v1/load_lora_adapter
    GET    /adapters                                   the limit, and what is here
    DELETE /adapters/NAME                              unloads it and removes its files

Where there is a token, every address but /health asks for it: vLLM's own check leaves out all
beside /v1, and there are ways to load adapters and to sample among them.
"""

import asyncio
import hmac
import json
import os
import re
import time
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sampling.adapter_store import FILES, LIMIT, MIB, AdapterStore, Refused

TOKEN = "MATHGRPO_TOKEN"  # the environment variables that this process is told by
ADAPTER_LIMIT = "MATHGRPO_ADAPTER_LIMIT"
SILENCE = 30.0  # seconds that an upload may pause
LONGEST = 600.0  # seconds that it may take
CHECKSUM = re.compile(r"[0-9a-fA-F]{64}")


class ClientGone(Exception):
    """Whoever sent the request hung up."""


class AdapterDoor:
    """Takes adapters in and lets in who has the token; all else is vLLM's."""

    def __init__(self, app: ASGIApp, store: AdapterStore | None = None):
        self.app = app
        self._token = os.environ.get(TOKEN, "")
        self._store = store or AdapterStore(int(os.environ.get(ADAPTER_LIMIT, LIMIT)) * MIB)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path != "/health" and not self._knows_token(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            reply = refusal(401, f"this server asks for its token; set {TOKEN} to it")
        elif scope["type"] == "http" and (path + "/").startswith("/adapters/"):
            try:
                reply = await self._answer(scope, path.split("/")[2:], receive)
            except Refused as no:
                reply = refusal(no.status, str(no))
            except ClientGone:
                return
        else:
            await self.app(scope, receive, send)
            return
        await reply(scope, receive, send)

    def _knows_token(self, scope: Scope) -> bool:
        kind, _, word = Headers(scope=scope).get("authorization", "").partition(" ")
        same = hmac.compare_digest(word.encode(), self._token.encode())
        return not self._token or (kind.lower() == "bearer" and same)

    async def _answer(self, scope: Scope, words: list[str], receive: Receive) -> JSONResponse:
        match scope["method"], words:
            case "GET", []:
                return JSONResponse({"limit": self._store.limit, "adapters": self._store.names()})
            case "PUT", [name, file] if file in FILES:
                return await self._put(scope, name, file, receive)
            case "DELETE", [name]:
                if not self._store.path(name).is_dir():
                    raise Refused(404, f"there is no adapter {name} here")
                await self._remove(scope, name)
                return JSONResponse({"name": name})
        raise Refused(
            404, f"adapters are sent by PUT /adapters/NAME/FILE, FILE {' or '.join(FILES)}"
        )

    async def _put(self, scope: Scope, name: str, file: str, receive: Receive) -> JSONResponse:
        folder, headers = self._store.path(name), Headers(scope=scope)
        checksum = headers.get("x-checksum-sha256", "")
        if not CHECKSUM.fullmatch(checksum):
            raise Refused(400, "the header X-Checksum-SHA256 must hold the file's 64 hex digits")
        with self._store.incoming(name, file) as one:
            one.expect(headers.get("content-length", ""))
            async for chunk in body(receive):
                one.write(chunk)
            while (oldest := self._store.surplus(name)) is not None:
                await self._remove(scope, oldest)
            self._store.keep(one, name, file, checksum.lower())
        complete = self._store.is_complete(name)
        return JSONResponse({"name": name, "path": str(folder), "complete": complete}, 201)

    async def _remove(self, scope: Scope, name: str) -> None:
        """Remove an adapter once vLLM has forgotten it: asked for one whose files are gone, its
        engine would die."""
        status = await self._unload(scope, name)
        if status not in (200, 404):
            raise Refused(500, f"vLLM does not let go of {name} (status {status})")
        self._store.remove(name)

    async def _unload(self, scope: Scope, name: str) -> int:
        """The status of vLLM's own answer, asked within this process."""
        path = scope.get("root_path", "") + "/v1/unload_lora_adapter"
        headers = [pair for pair in scope["headers"] if pair[0] == b"authorization"]
        asked = {
            **scope, "method": "POST", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": [*headers, (b"content-type", b"application/json")],
        }  # fmt: skip
        statuses = [500]

        async def receive() -> Message:
            return {"type": "http.request", "body": json.dumps({"lora_name": name}).encode()}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self.app(asked, receive, send)
        return statuses[-1]


async def body(receive: Receive) -> AsyncIterator[bytes]:
    """The chunks of a request's body; Refused where they come too slowly, ClientGone where they
    end too early."""
    until = time.monotonic() + LONGEST
    while True:
        patience = min(SILENCE, until - time.monotonic())
        try:
            message = await asyncio.wait_for(receive(), patience)
        except TimeoutError:
            raise Refused(408, "the upload came too slowly") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def refusal(status: int, why: str) -> JSONResponse:
    """An error in the shape of vLLM's own."""
    return JSONResponse({"error": {"message": why, "code": status}}, status)
