"""`python -m app`: see in the browser what training changed, on this machine alone unless told."""

import logging
import os
import signal
import sys
import threading
import webbrowser
from pathlib import Path

from app.options import RUNS, read_options
from common.errors import run_command

SESSIONS = 128  # whose state is kept: the pages open last


def main(argv: list[str]) -> None:
    options = read_options(argv)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

    from app.runs import Library
    from data import load_problems

    results = [Path(folder) for folder in options.results]
    library = Library(Path(options.runs or RUNS), options.model, options.adapter, results)
    library.choices()  # an adapter that names no base is told now
    load_problems(options.data, limit=1)  # said now if it is not there

    from starlette.middleware import Middleware

    from app.answers import Answerer
    from app.guard import Guard
    from app.leftovers import Leftovers
    from app.messages import is_news
    from app.page import THEME, build_page, head
    from app.page_style import CSS

    logging.getLogger("uvicorn.error").addFilter(is_news)
    answerer = Answerer(options.servers)
    page = build_page(library, options.data, answerer, asks_password=bool(options.auth))
    shown = f"[{options.host}]" if ":" in options.host else options.host
    page.launch(
        server_name=shown,
        server_port=options.port,
        theme=THEME,
        css=CSS,
        head=head(),
        auth=options.auth,
        show_error=False,
        max_file_size="1kb",  # nothing here takes files
        state_session_capacity=SESSIONS,
        enable_monitoring=False,
        footer_links=[],
        app_kwargs={
            "middleware": [Middleware(Guard, host=options.host), Middleware(Leftovers, page=page)]
        },
        quiet=True,
        prevent_thread_lock=True,
    )
    announce(f"http://{shown}:{options.port}", browser=not options.no_browser)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    answerer.close()
    os._exit(0)  # answers on their way would hold it up


def announce(address: str, *, browser: bool) -> None:
    """Print the address, and open it where a display is there."""
    display = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    print(f"The app is at {address} (Ctrl+C ends it)", flush=True)
    if browser and display:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


if __name__ == "__main__":
    run_command(main)
