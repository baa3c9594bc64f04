"""Compare: two evaluation results, the difference and the problems behind it."""

from pathlib import Path
from typing import Any

import gradio as gr
import pandas

from app.results import KINDS, chosen, find_results, problem_table
from app.text import code
from app.words import in_words
from eval.compare import compare
from eval.report import draw_pass_curves

NONE = """### No evaluation results here yet

`make demo` leaves some. For any model:

    python -m eval --model BASE --adapter CHECKPOINT --data FILE --n 16 --k 1,4,16 \\
        --out RUN/eval/SET/CHECKPOINT

Then reload this page."""
SHOWN = 4  # completions of each side


def compare_tab(page: gr.Blocks, runs: Path) -> None:
    """Two results to choose, the headline, curves, a table of problems, samples of one."""
    empty = gr.Markdown(visible=False)
    with gr.Row():
        a = gr.Dropdown(label="Result A", interactive=True, elem_id="result-a")
        b = gr.Dropdown(label="Result B", interactive=True, elem_id="result-b")
    ask = gr.Button("Compare", variant="primary", elem_id="compare-ask")
    head = gr.Markdown(elem_id="compare-head")
    plot = gr.Plot(label="pass@k", elem_id="compare-plot")
    kind = gr.Radio(list(KINDS), value="all", label="Problems", elem_id="compare-kind")
    table = gr.Dataframe(
        interactive=False,
        wrap=True,
        elem_id="compare-table",
        label="Problems (click one for its samples)",
        column_widths=["20%", "8%", "8%", "10%", "54%"],
    )
    samples = gr.HTML(elem_id="compare-samples", elem_classes="samples")

    def refresh() -> list[Any]:
        labels = [found.label for found in find_results(runs)]
        run = labels[0].split(":")[0] if labels else ""
        mine = sorted(label for label in labels if label.startswith(f"{run}:"))
        return [
            gr.Dropdown(choices=labels, value=mine[0] if mine else None),
            gr.Dropdown(choices=labels, value=mine[-1] if mine else None),
            gr.Markdown(NONE, visible=not labels),
        ]

    def show(a: str, b: str, kind: str) -> list[Any]:
        with in_words():
            first, second = chosen(runs, a), chosen(runs, b)
            comparison = compare(first, second)
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 3.5), layout="constrained")
        draw_pass_curves(figure.subplots(), [first, second], ["A", "B"])
        lines = "\n".join(f"- {line}" for line in comparison.lines())
        text = f"**B − A**, paired by problem, 95% intervals\n\n{lines}"
        return [text, figure, problem_table(first[1], second[1], kind), ""]

    def filtered(a: str, b: str, kind: str) -> pandas.DataFrame:
        with in_words():
            return problem_table(chosen(runs, a)[1], chosen(runs, b)[1], kind)

    def open_problem(a: str, b: str, event: gr.SelectData) -> str:
        with in_words():
            both = [chosen(runs, label)[1] for label in (a, b)]
        problem = event.row_value[0]
        return "".join(_samples(s, str(problem), name) for s, name in zip(both, "AB", strict=True))

    page.load(refresh, None, [a, b, empty], api_visibility="private")
    ask.click(show, [a, b, kind], [head, plot, table, samples], api_name="compare")
    kind.change(filtered, [a, b, kind], table, api_visibility="private")
    table.select(open_problem, [a, b], samples, api_visibility="private")


def _samples(samples: pandas.DataFrame, problem: str, name: str) -> str:
    """Some completions of one problem as HTML, right ones marked."""
    mine = samples[samples["problem"].astype(str) == problem]
    if mine.empty:
        return ""
    rate = mine["reward"].mean()
    parts = [f"<h3>{name}: {rate:.0%} right</h3><p>{code(str(mine['question'].iloc[0]))}</p>"]
    for row in mine.head(SHOWN).itertuples():
        mark = "✓" if row.reward else "✗"
        parts.append(f"<p>{mark} {code(str(row.reason))}</p><pre>{code(str(row.completion))}</pre>")
    return "".join(parts)
