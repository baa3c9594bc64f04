"""A vLLM server in a process of its own: how it is started, watched and stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from common.errors import UserError
from sampling.adapter_door import TOKEN
from sampling.vllm_options import PLUGIN, visible_devices

SERVER = "vllm.entrypoints.openai.api_server"
START_UP = 600.0  # seconds that a server may take to load its model


def server_command(
    model: str, *, host: str, port: int, max_lora_rank: int, **options: Any
) -> list[str]:
    """The command line of a vLLM server that takes adapters and tells the sampler's log-probs.

    `options` become flags of `vllm serve`: `max_model_len=512` is `--max-model-len 512`, True is
    the bare flag, False its `--no-` form.
    """
    flags: dict[str, Any] = {
        "host": host, "port": port, "enable_lora": True, "max_lora_rank": max_lora_rank,
        "logprobs_mode": "processed_logprobs", "middleware": "sampling.adapter_door.AdapterDoor",
        **options,
    }  # fmt: skip
    command = [sys.executable, "-m", SERVER, "--model", model]
    for name, value in flags.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            command.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            command += [f"--{flag}", str(value)]
    return command


def server_environment() -> dict[str, str]:
    """What the server's process needs to know beside its flags; the token is not among those,
    where everybody on the machine could read it. VLLM_PLUGINS, where set, leaves out all others."""
    named = os.environ.get("VLLM_PLUGINS")
    return {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        **os.environ,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_API_KEY": os.environ.get(TOKEN, ""),
        **({} if named is None else {"VLLM_PLUGINS": f"{named},{PLUGIN}".lstrip(",")}),
    }


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class ServerProcess:
    """A vLLM server on this machine, started by us."""

    def __init__(
        self,
        model: str,
        *,
        devices: Sequence[int] | None = None,
        log: str | Path | None = None,
        **options: Any,
    ):
        """Starts at once and returns when the server answers; raises UserError if it never does.

        `devices` are its GPUs, by number; none: those of this process.
        """
        self.model, self.devices, self.options = model, devices, options
        self.log = Path(log or Path(tempfile.gettempdir()) / f"mathgrpo-server-{os.getpid()}.log")
        self.start()

    def start(self) -> None:
        """Start, or start again after a death, and wait until the model is loaded."""
        self.stop()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        python, flag, _, *flags = server_command(
            self.model, host="127.0.0.1", port=port, **self.options
        )
        with open(self.log, "ab") as log, visible_devices(self.devices):
            self._process = subprocess.Popen(
                [python, flag, "sampling.vllm_process", SERVER, str(os.getpid()), *flags],
                env=server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_UP
        while time.monotonic() < deadline:
            if not self.alive:
                raise UserError(f"the vLLM server could not start on {self.model}{self._reason()}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            time.sleep(0.25)
        self.stop()
        raise UserError(f"the vLLM server did not answer within {START_UP:.0f} s (log: {self.log})")

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The server's process, also the id of its process group."""
        return self._process.pid

    def stop(self) -> None:
        """End the server and what it started."""
        if not hasattr(self, "_process"):
            return
        for sign, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # children that outlived it

    def _reason(self) -> str:
        """The last line of the log that names an error."""
        lines = self.log.read_text(errors="replace").splitlines()
        errors = [line.strip() for line in lines if "Error" in line or "Value error" in line]
        return f": {errors[-1][-300:]} (log: {self.log})" if errors else f" (log: {self.log})"


def message(reply: httpx.Response) -> str:
    """What a refusal says, on one line."""
    try:
        error = reply.json()
        text = error.get("message") or error["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        text = reply.text
    return f"{reply.status_code} {' '.join(str(text).split())[:300]}"
