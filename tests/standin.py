"""Stand-ins of vLLM servers, with a real door and real sockets."""

import asyncio
import contextlib
import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from sampling.adapter_door import AdapterDoor
from sampling.adapter_store import FILES, MIB, AdapterStore
from sampling.servers import Servers

MODEL = "a-model"


class StandIn:
    """What vLLM answers, without a model: each completion says by which adapter, and with what."""

    def __init__(self):
        self.adapters, self.completed, self.max_model_len = {}, [], 512
        self.begun = 0
        self.connected = asyncio.Event()
        self.connected.set()
        self.cut_at = math.inf  # so many completions are begun; from then on nothing is answered
        self.refuses_adapters = False
        self.root = MODEL
        self.refusals = []  # statuses that the next completion requests get
        self.ending = "stop"  # of a stream: a finish reason, or how it breaks off instead
        self.ends_at = 4  # tokens of a stream before its ending
        self.tells_tokens = True
        self.streaming = self.most_streaming = 0  # at the same time

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        content = (await receive()).get("body") or b"{}"
        asked = json.loads(content)
        status, reply = await self.answer(scope["path"], asked)
        if status == 200 and asked.get("stream"):
            self.streaming += 1
            self.most_streaming = max(self.streaming, self.most_streaming)
            try:
                await self.stream(asked.get("n", 1), send)
            finally:
                self.streaming -= 1
            return
        body = json.dumps(reply).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def stream(self, n, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def say(line):
            body = f"data: {line}\n\n".encode() if line else b""
            await send({"type": "http.response.body", "body": body, "more_body": bool(line)})

        def choice(index, token, reason=None):
            one = {"index": index, "text": "?", "finish_reason": reason}
            if self.tells_tokens:
                one["token_ids"] = [token]
            return json.dumps({"choices": [one | {"logprobs": {"token_logprobs": [-1.0]}}]})

        for token in range(self.ends_at):
            for index in range(n):
                await say(choice(index, token))
            await asyncio.sleep(0.01)
        match self.ending:
            case "closed":
                pass
            case "done too early":
                await say("[DONE]")
            case "half a line":
                await say(choice(0, 9)[:30])
            case "cut":
                raise ConnectionError("the stand-in's plug is pulled")
            case "error":
                error = {"message": "EngineCore encountered an issue", "code": 500}
                await say(json.dumps({"error": error}))
                await say("[DONE]")
            case "silent":
                self.connected.clear()
                await self.connected.wait()
            case reason:
                for index in range(n):
                    await say(choice(index, self.ends_at, reason))
                await say("[DONE]")
        await say("")

    async def answer(self, path, asked):
        if path == "/v1/completions":
            self.begun += 1
            if self.begun > self.cut_at:
                self.connected.clear()
        await self.connected.wait()
        match path:
            case "/health":
                return 200, {}
            case "/v1/models":
                return 200, {
                    "data": [{"id": MODEL, "root": self.root, "max_model_len": self.max_model_len}]
                }
            case "/v1/load_lora_adapter":
                if self.refuses_adapters:
                    return 400, {"error": {"message": "rank 99 is too large"}}
                if asked["lora_name"] in self.adapters:
                    return 400, {"error": {"message": "has already been loaded"}}
                folder = Path(asked["lora_path"])
                self.adapters[asked["lora_name"]] = [(folder / f).read_bytes() for f in FILES]
                return 200, {}
            case "/v1/unload_lora_adapter":
                return (200 if self.adapters.pop(asked["lora_name"], None) else 404), {}
            case "/v1/completions":
                if self.refusals:
                    return self.refusals.pop(0), {"error": {"message": "come back later"}}
                if asked["model"] != MODEL and asked["model"] not in self.adapters:
                    return 404, {"error": {"message": "no such model"}}
                await asyncio.sleep(0.02)
                self.completed.append(asked["prompt"])
                reply = {"prompt": asked["prompt"], "model": asked["model"]}
                if not self.tells_tokens:
                    reply["choices"] = [{"index": 0, "text": "?", "finish_reason": "stop"}]
                return 200, reply
        return 404, {"error": {"message": "not found"}}


class Host:
    """A stand-in with its door on a port of its own."""

    def __init__(self, folder, limit=MIB):
        folder.mkdir(exist_ok=True)
        self.engine, self.store = StandIn(), AdapterStore(limit, parent=folder)
        config = uvicorn.Config(AdapterDoor(self.gate, self.store), port=0, log_level="critical")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def gate(self, scope, receive, send):
        self.loop = asyncio.get_running_loop()
        await self.engine(scope, receive, send)

    def reconnect(self):
        self.engine.cut_at = math.inf
        self.loop.call_soon_threadsafe(self.engine.connected.set)

    def forget(self):
        """As a server that was started again."""
        self.engine.adapters.clear()
        for name in self.store.names():
            self.store.remove(name)

    def close(self):
        if self._thread.is_alive():
            self.reconnect()
        self._server.should_exit = True
        self._thread.join(10)
        self.store.close()


@contextlib.contextmanager
def two_hosts(folder: Path) -> Iterator[list[Host]]:
    """Two stand-ins, each on a port of its own."""
    with contextlib.ExitStack() as opened:
        both = [Host(folder / name) for name in ("one", "two")]
        for host in both:
            opened.callback(host.close)
        yield both


@contextlib.contextmanager
def client(hosts: list[Host], patience: float = 1.0, **options: Any) -> Iterator[Servers]:
    """A client of stand-ins that has looked at them."""
    options = {"concurrency": 4, **options}
    urls = [host.url for host in hosts]
    with contextlib.closing(Servers(MODEL, urls, patience=patience, **options)) as servers:
        servers.run(servers.meet())
        yield servers


async def live(receive, send) -> None:
    """The part of an ASGI application that is told when its server starts and ends."""
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})
