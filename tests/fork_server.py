"""Commands as processes of their own, forked from one that has imported the heavy libraries.

They are as killable as those a user starts, and spare the tests seconds of imports each.
"""

import atexit
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
os.environ["PYTHONPATH"] = str(ROOT)  # processes find the rooms from any folder
HEAVY = ("train.run", "eval.sweep", "eval.report", "train.plan")


class Command:
    """A running `python -m WORDS…`, in the manner of subprocess.Popen; its output goes to files."""

    def __init__(
        self,
        *words: str | Path,
        env: dict[str, str] | None = None,
        error: Path | None = None,
        start: Path | None = None,
    ):
        """`start`: the folder that the user stands in; by default an empty one."""
        folder = Path(tempfile.mkdtemp(prefix="command"))
        self.words = [str(word) for word in words]
        self.out, self.error = folder / "stdout", error or folder / "stderr"
        self.out.touch()
        self.error.touch()
        self.returncode: int | None = None
        files = {"out": str(self.out), "error": str(self.error)}
        asked = {"run": self.words, "env": env or {}, "start": str(start or empty_folder())}
        self.pid = ask({**asked, **files})

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = ask({"wait": self.pid})
        return self.returncode

    def wait(self, timeout: float = 240) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(f"{' '.join(self.words)}: {self.error.read_text()[-2000:]}")
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def command(
    *words: str | Path, timeout: float = 120, start: Path | None = None
) -> subprocess.CompletedProcess:
    """Run one of the project's commands to its end, as a user would."""
    process = Command(*words, start=start)
    code = process.wait(timeout)
    texts = [path.read_text() for path in (process.out, process.error)]
    return subprocess.CompletedProcess(process.words, code, *texts)


@cache
def empty_folder() -> str:
    """An empty folder to start commands in; one for each worker of the tests."""
    return tempfile.mkdtemp(prefix="empty_folder")


@cache
def fork_server() -> subprocess.Popen:
    """The process that the others are forked from; one for each worker of the tests."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fork_server"],
        cwd=empty_folder(),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate, timeout=20)
    return process


@cache
def preload(name: str) -> str:
    """Let the fork server import a module that only some tests need, before the next command."""
    return ask({"import": name})


def ask(what: dict[str, Any]) -> Any:
    """What the fork server answers."""
    process = fork_server()
    assert process.stdin is not None
    assert process.stdout is not None
    print(json.dumps(what), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def serve() -> dict[str, Any] | None:
    """Fork and wait as asked; returns in a child what it shall run, in the fork server None."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "import" in asked:
            os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
            answer = importlib.import_module(asked["import"]).__name__
        elif "run" in asked:
            answer = os.fork()
            if not answer:
                return asked
        else:
            pid, status = os.waitpid(asked["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)
    return None


def run_as(asked: dict[str, Any]) -> None:
    """Be `python -m WORDS…`, with files for its output."""
    for descriptor, path in ((0, os.devnull), (1, asked["out"]), (2, asked["error"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), descriptor)
    os.environ.update(asked["env"])
    os.chdir(asked["start"])
    [name, *words] = asked["run"]
    sys.argv = [name, *words]
    sys.modules.pop(name if "." in name else f"{name}.__main__", None)
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in HEAVY:
        importlib.import_module(name)
    if (asked := serve()) is not None:
        run_as(asked)
