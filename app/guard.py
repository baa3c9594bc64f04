"""What stands between the network and the page: hosts, origins, headers, slow log-ins.

Gradio checks none of them. A page on 127.0.0.1 can be reached through a name that somebody else's
name server points here (DNS rebinding), and framed or posted to by any site that is open beside it.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse

LOCAL = {"127.0.0.1", "localhost", "::1"}
ANYWHERE = {"0.0.0.0", "::"}
DELAY = 1.0  # seconds after a wrong password, of the same address
# Gradio's page needs inline scripts and `new Function`; nothing is fetched from elsewhere, nothing
# sent elsewhere, and no other site may frame the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
# Parts of Gradio that this page has no use for: uploads, proxied pages, files, self-description.
CLOSED = re.compile(
    r"/(?:upload|upload_progress|proxy=|file=|file/|component_server|deep_link|monitoring|stream/|"
    r"dev/|custom_component/|vibe|mcp|process_recording|startup-events/)"
)

LOG_IN, TITLE = b'"auth_required":true', b"<title>mathgrpo</title></head>"

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Guard:
    """ASGI middleware; `host` is the address that the app binds to."""

    def __init__(self, app: Any, host: str):
        self.app = app
        self.hosts = None if host in ANYWHERE else LOCAL | {host.lower()}
        self._wrong: dict[str, float] = {}  # address -> when its next log-in is looked at
        self._asking = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            code, text = refusal
            await PlainTextResponse(text, code, headers=HEADERS)(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"].rstrip("/") == "/login":
            await self._log_in(scope, receive, _with_headers(send))
        else:
            page = scope["path"] == "/"
            await self.app(scope, receive, _with_headers(_with_title(send) if page else send))

    def _refusal(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts is not None and host_name(host) not in self.hosts:
            return 403, "this page is not served under that name"
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "requests from other sites are refused"
        if CLOSED.search(scope["path"]):
            return 404, "there is no such thing here"
        return None

    async def _log_in(self, scope: Message, receive: Any, send: Send) -> None:
        """One log-in of an address at a time, with a delay after each wrong password."""
        address = (scope.get("client") or ("", 0))[0]
        async with self._asking:
            at = max(time.monotonic(), self._wrong.get(address, 0.0))
            self._wrong[address] = at + DELAY
            if len(self._wrong) > 10_000:
                self._wrong = {k: v for k, v in self._wrong.items() if v > time.monotonic()}
        await asyncio.sleep(max(0.0, at - time.monotonic()))

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self._wrong.pop(address, None)
            await send(message)

        await self.app(scope, receive, watched)


def host_name(host: str) -> str:
    """The name in a Host header, without its port: `[::1]:7860` is `::1`."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _with_title(send: Send) -> Send:
    """Gradio gives its log-in page no title, so that a screen reader cannot name it."""
    start: list[Message] = []
    body = bytearray()

    async def extended(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.append(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        told = bytes(body)
        if LOG_IN in told:
            told = told.replace(b"</head>", TITLE, 1)
        kept = [(k, v) for k, v in start[0]["headers"] if k.lower() != b"content-length"]
        length = (b"content-length", str(len(told)).encode())
        await send({**start[0], "headers": [*kept, length]})
        await send({"type": "http.response.body", "body": told})

    return extended


def _with_headers(send: Send) -> Send:
    async def extended(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return extended
