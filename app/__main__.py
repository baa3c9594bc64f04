"""`python -m app`: compare checkpoints in the browser, on this machine alone unless told else."""

import logging
import os
import socket
from pathlib import Path

from common.errors import OneLineParser, UserError, run_command

LOCAL = "127.0.0.1"


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m app", description="Compare checkpoints in the browser.")
    parser.add_argument("--runs", default="runs", help="the folder with the runs")
    parser.add_argument("--data", default="synth:heldout,n=500", help="problems of the dice button")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--host", default=LOCAL, help="another address needs --auth")
    parser.add_argument("--auth", help="USER:PASSWORD that the page asks for")
    parser.add_argument(
        "--servers",
        nargs="*",
        default=[],
        metavar="URL",
        help="vLLM servers to write samples",
    )
    options = parser.parse_args(argv)
    name, colon, password = (options.auth or "").partition(":")
    if options.auth and not (name and colon and password):
        raise UserError("--auth takes USER:PASSWORD")
    if options.host not in (LOCAL, "localhost") and not options.auth:
        raise UserError(
            f"--host {options.host} shows the page to others: give --auth USER:PASSWORD"
        )
    if not 1 <= options.port <= 65535:
        raise UserError("--port must lie between 1 and 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError:
            raise UserError(
                f"{options.host}:{options.port} cannot be used; choose another --port"
            ) from None
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

    from app.page import CSS, HEAD, THEME, build_page
    from app.words import is_news

    logging.getLogger("uvicorn.error").addFilter(is_news)

    page = build_page(Path(options.runs), options.data, options.servers)
    page.launch(
        server_name=options.host,
        server_port=options.port,
        theme=THEME,
        css=CSS,
        head=HEAD,
        auth=(name, password) if options.auth else None,
        show_error=False,
        max_file_size="1kb",  # nothing here takes files
        enable_monitoring=False,
        footer_links=[],
    )


if __name__ == "__main__":
    run_command(main)
