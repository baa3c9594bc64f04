"""What a vLLM server serves, as seen from outside; and its death."""

import os
import signal
import threading
import time

import httpx


def tokens(groups):
    return [[c.token_ids for c in group] for group in groups]


def served_by(server):
    models = httpx.get(f"{server.urls[0]}/v1/models").json()["data"]
    return [model["id"] for model in models]


def adapters_at(server):
    return httpx.get(f"{server.urls[0]}/adapters").json()["adapters"]


def kill_soon(server, seconds):
    def kill():
        time.sleep(seconds)
        os.killpg(server.server.pid, signal.SIGKILL)

    threading.Thread(target=kill).start()
