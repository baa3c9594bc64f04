"""The styles of the page, and of a file saved from it."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"
CSS = (STATIC / "style.css").read_text(encoding="utf-8")
# A saved file has no Gradio around it: its colours and fonts are set here.
STYLE = (
    CSS
    + """
:root {color-scheme: light dark; --body-text-color: #111827; --background-fill-primary: #fff}
body {font: 16px system-ui, sans-serif; color: var(--body-text-color); margin: 1rem;
  background: var(--background-fill-primary)}
main {max-width: 1100px; margin: auto}
.sides {display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem}
@media (prefers-color-scheme: dark) {
  :root {--body-text-color: #e5e7eb; --background-fill-primary: #0b0f19;
    --c0: #60a5fa; --c1: #fb923c; --c2: #34d399; --c3: #c084fc; --quiet: #94a3b8}
}
"""
)
