"""The page: what there is to see of the runs in one folder, a tab for each kind of question."""

import html
import json

import gradio as gr

from app.answers import Answerer
from app.api import api
from app.ask_tab import ask_tab
from app.blind_tab import blind_tab
from app.check_tab import check_tab
from app.compare_tab import compare_tab
from app.evolution_tab import evolution_tab
from app.page_style import STATIC
from app.problems import ProblemBook
from app.run_tab import run_tab
from app.runs import Library

QUEUE_LIMIT = 32
TABS = {
    "ask": "Ask",
    "compare": "Compare",
    "evolution": "Evolution",
    "blind": "Blind test",
    "run": "Training",
    "check": "Check",
}
THEME = gr.themes.Base(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(  # fonts of the machine: nothing is fetched; colours that stand out from their ground
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_300",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_label_text_color="*neutral_700",
    block_title_text_color="*neutral_700",
    block_title_text_color_dark="*neutral_200",
)


KEYS = {
    "Enter": "ask, in the problem (Shift+Enter: a new line)",
    "Esc": "stop",
    "← →": "previous and next problem, unless you typed one",
    "/": "go to the problem or the search",
    "s": "settings",
    "1 … 6": "open a tab",
    "t": "light or dark",
    "?": "this list",
}
TOP = """<div id="top"><h1>mathgrpo</h1><p>What did training change?</p>
<span class="buttons">
<button type="button" id="theme-button">Light / dark</button>
<button type="button" id="help-button" aria-haspopup="dialog">Keys (?)</button>{log_out}
</span></div>
<dialog id="shortcuts" aria-label="Keyboard shortcuts"><h2>Keys</h2>{keys}
<button type="button" class="link" id="help-close">Close</button></dialog>"""
LOG_OUT = '<a id="log-out" href="logout">Log out</a>'


def head() -> str:
    """The page's script, and its title where nobody has logged in yet."""
    titles = json.dumps({title: name for name, title in TABS.items()})
    script = (STATIC / "page.js").read_text(encoding="utf-8").replace("TABS;", f"{titles};", 1)
    return f"<title>mathgrpo</title>\n<script>\n{script}</script>"


def build_page(
    library: Library, data: str, answerer: Answerer, *, asks_password: bool = False
) -> gr.Blocks:
    """The page over what a library holds; `data` is the problem set to pick from."""
    book = ProblemBook(library, data)
    with gr.Blocks(title="mathgrpo", analytics_enabled=False, fill_width=True) as page:
        keys = "".join(f"<p><kbd>{html.escape(key)}</kbd> {what}</p>" for key, what in KEYS.items())
        gr.HTML(TOP.format(keys=keys, log_out=LOG_OUT if asks_password else ""))
        with gr.Tabs() as tabs:
            with gr.Tab(TABS["ask"], id="ask"):
                ask_tab(page, library, book, answerer)
            with gr.Tab(TABS["compare"], id="compare") as tab:
                compare_tab(page, tab, library)
            with gr.Tab(TABS["evolution"], id="evolution") as tab:
                evolution_tab(page, tab, library, answerer)
            with gr.Tab(TABS["blind"], id="blind"):
                blind_tab(page, library, book, answerer)
            with gr.Tab(TABS["run"], id="run"):
                run_tab(page, library, answerer)
            with gr.Tab(TABS["check"], id="check"):
                check_tab()
        api(library, book, answerer)
        page.load(_open_tab, None, tabs, api_visibility="private", show_progress="hidden")
    return page.queue(max_size=QUEUE_LIMIT)


def _open_tab(request: gr.Request) -> gr.Tabs:
    """The tab in the address; without one nothing moves: somebody may have clicked by now."""
    name = request.query_params.get("tab")
    return gr.Tabs(selected=name) if name in TABS else gr.skip()
