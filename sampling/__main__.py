"""`python -m sampling serve MODEL`: a vLLM server for samplers on this or other machines."""

import ipaddress
import os
import re
from typing import NoReturn

from common.errors import OneLineParser, UserError, run_command
from sampling.adapter_door import ADAPTER_LIMIT, TOKEN
from sampling.adapter_store import LIMIT
from sampling.server import server_command, server_environment
from sampling.vllm_options import allowed_rank, has_vllm

OURS = ("--api-key", "--enable-lora", "--no-enable-lora", "--logprobs-mode")


def main(argv: list[str]) -> None:
    options, others = parser().parse_known_args(argv)
    settings = vars(options)
    del settings["command"]
    model, limit = settings.pop("model"), settings.pop("adapter_limit")
    check_token(settings["host"])
    if limit < 1:
        raise UserError(f"--adapter-limit must be at least 1 MiB, not {limit}")
    if taken := [word for word in others if word.partition("=")[0] in OURS]:
        raise UserError(f"{taken[0]} is set by mathgrpo serve itself (the token: by {TOKEN})")
    if not has_vllm():
        raise UserError("vLLM is not installed here; install the extra 'cpu' or 'gpu'")
    from models.loading import load_tokenizer, resolve_dtype  # heavy: only for what can be served

    load_tokenizer(model)  # a clear word about a wrong model, before vLLM starts
    settings["dtype"] = resolve_dtype(settings["dtype"])
    settings["max_lora_rank"] = allowed_rank(settings["max_lora_rank"])
    if settings["dtype"] == "float32":
        settings["enable_chunked_prefill"] = False  # see sampling/vllm_sampler.py
    command = [*server_command(model, **settings), *others]
    if others:
        check_flags(command[3:])
    os.execve(command[0], command, {**server_environment(), ADAPTER_LIMIT: str(limit)})


def parser() -> OneLineParser:
    """The options of the command."""
    made = OneLineParser(prog="python -m sampling", description="Serve models to samplers.")
    commands = made.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve",
        help="a vLLM server, for this machine or others",
        epilog=f"Further options go to vLLM as they are. Where the environment has {TOKEN}, who "
        "asks must show it; another --host than this machine's own needs it.",
        allow_abbrev=False,
    )
    add = serve.add_argument
    add("model", help="a model folder or hub name")
    add("--host", default="127.0.0.1", help=f"0.0.0.0 for other machines; needs {TOKEN}")
    add("--port", type=int, default=8000)
    add("--dtype", default="auto")
    add("--max-lora-rank", type=int, default=64)
    add("--max-model-len", type=int, help="tokens of prompt and completion")
    add("--gpu-memory-utilization", type=float, help="share of the GPU's memory")
    add("--tensor-parallel-size", type=int, help="GPUs that share the model")
    add("--data-parallel-size", type=int, help="copies of the model, each on GPUs of its own")
    add("--quantization", help="as vLLM names it")
    add("--adapter-limit", type=int, default=LIMIT, metavar="MIB",
        help=f"the largest adapter that is taken over HTTP (default: {LIMIT})")  # fmt: skip
    return made


def check_token(host: str) -> None:
    """Raises UserError for a host that others reach without a token, or a token that no header
    can hold."""
    token = os.environ.get(TOKEN, "")
    if not token and not is_loopback(host):
        raise UserError(
            f"--host {host} lets other machines in: set {TOKEN} to a secret, here and where you "
            f"sample (such as: export {TOKEN}=$(openssl rand -hex 32))"
        )
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UserError(f"{TOKEN} must be visible ASCII characters without spaces")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_flags(words: list[str]) -> None:
    """Raises UserError for options that vLLM does not know or cannot read."""
    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:  # another version of vLLM, which will say so itself
        return

    class OneLine(FlexibleArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UserError(f"{message} (options that mathgrpo serve does not have are vLLM's)")

    make_arg_parser(OneLine()).parse_args(words)


if __name__ == "__main__":
    run_command(main)
