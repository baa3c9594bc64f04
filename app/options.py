"""What the app is started with: the command line, a file of the same settings, all made sure of."""

import argparse
import functools
import socket
import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any

from common.errors import OneLineParser, UserError, nearest

RUNS = "runs"  # where training writes to unless told otherwise
LOCAL = ("127.0.0.1", "localhost", "::1")
SEVERAL = ("model", "adapter", "results", "servers")  # settings that are lists


def read_options(argv: list[str]) -> Namespace:
    """The settings; raises UserError for what cannot work, before anything is loaded."""
    made = parser()
    options = made.parse_args(argv)
    if options.config:
        made.set_defaults(**read_config(Path(options.config), made))
        options = made.parse_args(argv)  # what the command line says comes first
    name, colon, password = (options.auth or "").partition(":")
    if options.auth and not (name and colon and password):
        raise UserError("--auth takes USER:PASSWORD")
    options.auth = (name, password) if options.auth else None
    if options.host not in LOCAL and not options.auth:
        raise UserError(
            f"--host {options.host} shows the page to others: give --auth USER:PASSWORD"
        )
    if not 1 <= options.port <= 65535:
        raise UserError("--port must lie between 1 and 65535")
    check_folders(options)
    check_free(options.host, options.port)
    return options


def parser() -> OneLineParser:
    """The options of the command."""
    made = OneLineParser(prog="python -m app", description="See what training changed.")
    add = made.add_argument
    add("--config", metavar="TOML", help='a file of these settings: model = ["…"], port = 7861')
    add("--runs", metavar="DIR", help=f"the folder with the runs (default: {RUNS})")
    several = functools.partial(add, nargs="*", default=[])
    several("--model", metavar="M", help="base models to ask besides: folders or hub names")
    several("--adapter", metavar="DIR", help="adapters to ask besides: on --model, or their own")
    several("--results", metavar="DIR", help="folders with evaluation results to show besides")
    add("--data", default="synth:heldout,n=500", help="the problem set to pick from")
    add("--host", default=LOCAL[0], help="the address to bind to; another than this machine's "
        "own needs --auth")  # fmt: skip
    add("--port", type=int, default=7860)
    add("--auth", metavar="USER:PASSWORD", help="what the page asks for")
    several("--servers", metavar="URL", help="vLLM servers that answer for the models they serve")
    add("--no-browser", action="store_true", help="only print the address")
    return made


def read_config(file: Path, made: argparse.ArgumentParser) -> dict[str, Any]:
    """The settings in a file, by the names of the options; raises UserError."""
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"--config {file}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"--config {file} is not valid TOML: {error}") from error
    known = [action.dest for action in made._actions if action.dest not in ("help", "config")]
    found: dict[str, Any] = {}
    for key, value in told.items():
        name = key.replace("-", "_")
        if isinstance(value, dict):
            raise UserError(
                f"--config {file}: [{key}] is no setting of the app; a run's own configuration "
                "is found by --runs"
            )
        if name not in known:
            raise UserError(
                f"--config {file}: there is no setting '{key}' here{nearest(name, known)}"
            )
        kind: Any = {"port": int, "no_browser": bool}.get(name, str)
        if name in SEVERAL:
            value = [value] if isinstance(value, str) else value
            right = isinstance(value, list) and all(isinstance(one, str) for one in value)
        else:
            right = type(value) is kind
        if not right:
            what = "a list of texts" if name in SEVERAL else {str: "a text", int: "a number"}.get(
                kind, "true or false"
            )  # fmt: skip
            raise UserError(f"--config {file}: {key} must be {what}")
        found[name] = value
    return found


def check_free(host: str, port: int) -> None:
    """Raises UserError where the address cannot be bound to."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be used ({error.strerror or error}); choose another --port "
            "or --host"
        ) from None


def check_folders(options: Namespace) -> None:
    """Raises UserError for what is named and is no folder, or holds no adapter."""
    from app.runs import ADAPTER

    runs = Path(options.runs or RUNS)
    if runs.exists() and not runs.is_dir():
        raise UserError(f"--runs {runs} is a file; give the folder that holds the runs")
    for name, folders in (
        ("runs", [options.runs] if options.runs else []),
        ("adapter", options.adapter),
        ("results", options.results),
    ):
        for folder in folders:
            if not Path(folder).is_dir():
                raise UserError(f"--{name} {folder}: there is no such folder")
    for folder in options.adapter:
        missing = [name for name in ADAPTER if not (Path(folder) / name).is_file()]
        if missing:
            raise UserError(f"--adapter {folder} holds no adapter: {' and '.join(missing)} missing")
