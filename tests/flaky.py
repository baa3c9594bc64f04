"""In front of a real server: fails some requests, then passes them on; or is cut off."""

import contextlib
import http.server
import math
import threading
from typing import ClassVar

import httpx

PASSED_ON = ("content-type", "x-checksum-sha256")


class Flaky(http.server.BaseHTTPRequestHandler):
    """In front of a real server: fails some requests, then passes them on; or is cut off."""

    upstream: str
    failures: ClassVar[list[int]]  # status codes still to be answered; 0 closes the connection
    seen: ClassVar[list[str]]
    cut_at: ClassVar[float]  # from this completion request on, nothing is answered
    connected: ClassVar[threading.Event]

    def do_GET(self):
        self.pass_on("GET")

    def do_POST(self):
        self.pass_on("POST")

    def do_PUT(self):
        self.pass_on("PUT")

    def do_DELETE(self):
        self.pass_on("DELETE")

    def pass_on(self, method):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        type(self).seen.append(self.path)
        if sum("completions" in path for path in self.seen) >= self.cut_at:
            self.connected.clear()
        self.connected.wait()
        if "completions" in self.path and type(self).failures:
            code = type(self).failures.pop()
            if not code:
                self.close_connection = True
                return
            self.send_response(code)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() in PASSED_ON}
        reply = httpx.request(
            method, self.upstream + self.path, content=body, headers=headers, timeout=120
        )
        self.send_response(reply.status_code)
        self.send_header("content-type", reply.headers.get("content-type", "text/plain"))
        self.send_header("content-length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def flaky(upstream, failures, cut_at=math.inf):
    """The front's address and its class; `failures` are answered first, from the end."""
    own = {"upstream": upstream, "failures": failures, "seen": [], "cut_at": cut_at}
    kind = type("One", (Flaky,), {**own, "connected": threading.Event()})
    kind.connected.set()
    front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{front.server_port}", kind
    reconnect(kind)
    front.shutdown()


def reconnect(kind):
    kind.cut_at = math.inf
    kind.connected.set()
