"""The page: what there is to see of the runs in one folder, a tab for each kind of question."""

import json
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from app.answers import Answerer
from app.api import api
from app.check_tab import check_tab
from app.compare_tab import compare_tab
from app.problems import ProblemBook
from app.run_tab import run_tab
from app.try_tab import try_tab

QUEUE_LIMIT = 32
TABS = {"try": "Try it", "compare": "Compare", "run": "Run", "check": "Check"}
THEME = gr.themes.Base(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)  # fonts of the machine: nothing is fetched
CSS = """
.badge {padding: .1em .6em; border-radius: 1em; font-weight: 600; color: white}
.badge.right {background: #15803d} .badge.wrong {background: #b91c1c}
.badge.none {background: #64748b}
.why {opacity: .85} .answer {min-height: 8em}
.part {font-size: .95em} .part code {white-space: pre}
.answer mark {background: #fde047; color: #111; border-radius: .2em}
.tokens {white-space: pre-wrap; overflow-wrap: anywhere}
.samples pre {white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .5rem}
.prose .votes :is(th, td) {padding: .1rem 1rem .1rem 0; text-align: left}
.prose .votes, .prose .votes :is(tr, th, td) {border: none !important}
#picking {align-items: end}
"""
# The tab that somebody opens stands in the address.
TAB_NOTES = f"""
<script>
const tabs = {json.dumps({title: name for name, title in TABS.items()})};
document.addEventListener('click', (event) => {{
  const name = tabs[event.target.closest?.('button')?.innerText.trim()];
  if (!name || !event.target.closest('[role=tab], [role=tablist], .overflow-menu')) return;
  const query = new URLSearchParams(window.location.search);
  query.set('tab', name);
  window.history.replaceState(null, '', '?' + query);
}}, true);
</script>
"""
# Escape stops, Enter in the problem asks (Shift+Enter is a new line), arrows leaf through problems.
HEAD = (
    TAB_NOTES
    + """
<script>
document.addEventListener('keydown', (event) => {
  const at = event.target, press = (id) => document.querySelector(id)?.click();
  const writing = at.matches?.('input, textarea, select, [contenteditable], [role]');
  if (event.key === 'Escape') press('#stop');
  else if (event.key === 'Enter' && !event.shiftKey && at.closest?.('#question')) {
    event.preventDefault(); press('#ask');
  }
  else if (event.key === 'ArrowLeft' && !writing) press('#previous');
  else if (event.key === 'ArrowRight' && !writing) press('#next');
}, true);
</script>
"""
)


def build_page(runs: Path, data: str, servers: Sequence[str] = ()) -> gr.Blocks:
    """The page over the runs in a folder.

    `data` is the problem set of the dice button, `servers` are vLLM servers to write samples.
    """
    book, answerer = ProblemBook(runs, data), Answerer(servers)
    with gr.Blocks(title="mathgrpo", analytics_enabled=False) as page:
        gr.Markdown("# mathgrpo\nWhat did training change?")
        with gr.Tabs() as tabs:
            for name, title in TABS.items():
                with gr.Tab(title, id=name):
                    if name == "try":
                        try_tab(page, runs, book, answerer)
                    elif name == "compare":
                        compare_tab(page, runs)
                    elif name == "run":
                        run_tab(page, runs)
                    else:
                        check_tab()
        api(runs, book, answerer)
        page.load(_open_tab, None, tabs, api_visibility="private", show_progress="hidden")
    return page.queue(max_size=QUEUE_LIMIT)


def _open_tab(request: gr.Request) -> gr.Tabs:
    """The tab in the address; without one nothing moves: somebody may have clicked by now."""
    name = request.query_params.get("tab")
    return gr.Tabs(selected=name) if name in TABS else gr.skip()
