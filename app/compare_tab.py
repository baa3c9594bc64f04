"""Compare: two evaluation results, the difference and the problems behind it."""

from pathlib import Path
from typing import Any

import gradio as gr
import pandas

from app.address import remember
from app.plots import figure, readable
from app.results import KINDS, chosen, find_results, problem_table
from app.runs import find_runs
from app.text import code
from app.words import in_words
from eval.compare import compare
from eval.report import draw_pass_curves

NONE = """### {what}

Make one of the base and one of a checkpoint, with the same data and settings:

    python -m eval --model {model} --adapter {adapter} --data FILE --n 16 --k 1,4,16 \\
        --out {folder}/eval/SET/CHECKPOINT

(the base: without `--adapter`, and `--out {folder}/eval/SET/base`). `make demo` leaves both. Then
reload this page."""
SHOWN = 4  # completions of each side


def compare_tab(page: gr.Blocks, runs: Path) -> None:
    """Two results to choose, the headline, curves, a table of problems, samples of one."""
    note = gr.Markdown(visible=False, elem_id="compare-note")
    with gr.Row():
        a = gr.Dropdown(label="Result A", interactive=True, elem_id="result-a")
        b = gr.Dropdown(label="Result B", interactive=True, elem_id="result-b")
    ask = gr.Button("Compare", variant="primary", elem_id="compare-ask")
    with gr.Column(visible=False) as found:
        head = gr.Markdown(elem_id="compare-head")
        plot = gr.Plot(label="pass@k", show_label=False, elem_id="compare-plot")
        kind = gr.Radio(list(KINDS), value="all", label="Problems", elem_id="compare-kind")
        table = gr.Dataframe(
            interactive=False,
            wrap=True,
            elem_id="compare-table",
            label="Problems (click one for its samples)",
            column_widths=["20%", "8%", "8%", "10%", "54%"],
        )
        samples = gr.HTML(elem_id="compare-samples", elem_classes="samples")

    def refresh(request: gr.Request) -> list[Any]:
        view = request.query_params
        labels = [found.label for found in find_results(runs)]
        run = labels[0].split(":")[0] if labels else ""
        mine = [label for label in labels if label.startswith(f"{run}:")]
        usual = {"a": mine[0], "b": mine[-1]} if mine else {"a": None, "b": None}
        values = [view[x] if view.get(x) in labels else usual[x] for x in ("a", "b")]
        return [
            *(gr.Dropdown(choices=labels, value=value) for value in values),
            gr.Markdown(_note(runs, len(labels)), visible=len(labels) < 2),
        ]

    def show(a: str, b: str, kind: str) -> list[Any]:
        with in_words():
            first, second = chosen(runs, a), chosen(runs, b)
            comparison = compare(first, second)
            drawn = figure(7, 3.5)
            draw_pass_curves(drawn.subplots(), [first, second], ["A", "B"])
            lines = "\n".join(f"- {line}" for line in comparison.lines())
            text = f"**B − A**, paired by problem, 95% intervals\n\n{lines}"
            table = problem_table(first[1], second[1], kind)
        return [gr.Column(visible=True), text, readable(drawn), table, ""]

    def filtered(a: str, b: str, kind: str) -> pandas.DataFrame:
        with in_words():
            return problem_table(chosen(runs, a)[1], chosen(runs, b)[1], kind)

    def open_problem(a: str, b: str, event: gr.SelectData) -> str:
        with in_words():
            both = [chosen(runs, label)[1] for label in (a, b)]
            problem = str(event.row_value[0])
            return "".join(_samples(s, problem, name) for s, name in zip(both, "AB", strict=True))

    page.load(refresh, None, [a, b, note], api_visibility="private", show_progress="hidden")
    ask.click(show, [a, b, kind], [found, head, plot, table, samples], api_visibility="private")
    ask.click(None, [a, b], None, js=remember(["a", "b"]))
    kind.change(filtered, [a, b, kind], table, api_visibility="private")
    table.select(open_problem, [a, b], samples, api_visibility="private")


def _note(runs: Path, results: int) -> str:
    """What to do where there are not two results yet."""
    run = next(iter(find_runs(runs)), None)
    if run is None:
        return NONE.format(
            what="No evaluation results here yet", model="BASE", adapter="CHECKPOINT", folder="RUN"
        )
    what = "One evaluation result only" if results else "No evaluation results here yet"
    adapter = run.choices[-1].adapter or "CHECKPOINT"
    return NONE.format(what=what, model=run.choices[0].model, adapter=adapter, folder=run.folder)


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
