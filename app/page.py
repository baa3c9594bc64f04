"""The page: what there is to see of the runs in one folder, a tab for each kind of question."""

from pathlib import Path

import gradio as gr

from app.check_tab import check_tab
from app.compare_tab import compare_tab
from app.run_tab import run_tab
from app.try_tab import try_tab

QUEUE_LIMIT = 32
THEME = gr.themes.Base(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)  # fonts of the machine: nothing is fetched
CSS = """
.badge {padding: .1em .6em; border-radius: 1em; font-weight: 600; color: white}
.badge.right {background: #15803d} .badge.wrong {background: #b91c1c}
.badge.none {background: #64748b}
.why {opacity: .85} .answer {min-height: 8em}
.part {font-size: .95em} .part code {white-space: pre}
.samples pre {white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .5rem}
.votes td, .votes th {padding: .1rem .75rem .1rem 0; text-align: left}
"""
# Escape stops, as the button does; Enter in the problem asks (Shift+Enter is a new line).
KEYS = """
<script>
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') document.querySelector('#stop')?.click();
});
</script>
"""


def build_page(runs: Path, data: str) -> gr.Blocks:
    """The page over the runs in a folder; `data` is the problem set of the dice button."""
    with gr.Blocks(title="mathgrpo", analytics_enabled=False) as page:
        gr.Markdown("# mathgrpo\nWhat did training change?")
        with gr.Tabs():
            with gr.Tab("Try it", id="try"):
                try_tab(page, runs, data)
            with gr.Tab("Compare", id="compare"):
                compare_tab(page, runs)
            with gr.Tab("Run", id="run"):
                run_tab(page, runs)
            with gr.Tab("Check", id="check"):
                check_tab()
    return page.queue(max_size=QUEUE_LIMIT)
