"""`python -m app`: compare checkpoints in the browser, on this machine alone."""

import os
import socket
from pathlib import Path

from common.errors import OneLineParser, UserError, run_command


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m app", description="Compare checkpoints in the browser.")
    parser.add_argument("--runs", default="runs", help="the folder with the runs")
    parser.add_argument("--data", default="synth:heldout,n=500", help="problems of the dice button")
    parser.add_argument("--port", type=int, default=7860)
    options = parser.parse_args(argv)
    if not 1 <= options.port <= 65535:
        raise UserError("--port must lie between 1 and 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", options.port))
        except OSError:
            raise UserError(f"port {options.port} is taken; choose another with --port") from None
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

    from app.page import CSS, THEME, build_page

    page = build_page(Path(options.runs), options.data)
    page.launch(
        server_name="127.0.0.1",
        server_port=options.port,
        theme=THEME,
        css=CSS,
        show_error=False,
        footer_links=[],
    )


if __name__ == "__main__":
    run_command(main)
