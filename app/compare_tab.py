"""Compare: evaluation results, the difference between two, and the problems behind it."""

from typing import Any

import gradio as gr

from app.address import remember
from app.comparison import (
    curves,
    difference_html,
    headline,
    nothing_yet,
    samples_of,
    sides_html,
    table_html,
)
from app.export import comparison_page
from app.formulas import to_markdown
from app.html import code, mark
from app.messages import page_messages
from app.problem_table import ALL, KINDS, Filters, values_of
from app.results import Found, find, find_results, load
from app.runs import Library
from app.tables import MOST_ROWS, PAGE, Order, chosen, next_order, table_beside_a_problem, table_box
from app.values import MAX_LABEL, labels, one_of, text, whole
from common.errors import UserError
from eval.compare import compare

COMMAND = """python -m eval --model {model} --adapter {adapter} --data FILE --n 16 --k 1,4,16 \\
    --out {folder}/eval/SET/CHECKPOINT"""
MORE = 4  # results drawn besides A and B
# The file is made by the server and saved by the browser: nothing is written on the server.
SAVE = """(name, page) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([page], {type: 'text/html'}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


def compare_tab(page: gr.Blocks, tab: gr.Tab, library: Library) -> None:
    """Results to choose, the headline, curves, a table of problems, the samples of one."""
    notes = gr.HTML(visible=False, elem_id="compare-note")
    with gr.Row(elem_classes="actions"):
        a = gr.Dropdown(label="Result A (before)", elem_id="result-a", min_width=180)
        b = gr.Dropdown(label="Result B (after)", elem_id="result-b", min_width=180)
        more = gr.Dropdown(
            label="More results, for the curves", multiselect=True, max_choices=MORE,
            elem_id="result-more", min_width=180,
        )  # fmt: skip
        ask = gr.Button("Compare", variant="primary", elem_id="compare-ask", min_width=100)
    with gr.Column(visible=False) as found:
        head = gr.HTML(elem_id="compare-head")
        plots = table_box(elem_id="compare-plots")
        with gr.Row(elem_classes="actions"):
            kind = gr.Dropdown([(v, k) for k, v in KINDS.items()], value="all", label="Show",
                               elem_id="compare-kind", min_width=150)  # fmt: skip
            level = gr.Dropdown([ALL], value=ALL, label="Level", min_width=100)
            source = gr.Dropdown([ALL], value=ALL, label="Source", min_width=100)
            words = gr.Textbox(label="Search the problems", elem_classes="search",
                               elem_id="compare-words", min_width=160)  # fmt: skip
            save = gr.Button("Save as one HTML file", elem_id="compare-save", min_width=120)
        table, question, beside = table_beside_a_problem("compare-table", HINT)
        with beside:
            samples = gr.HTML(elem_id="compare-samples")
            with gr.Row(visible=False) as pair:
                left = gr.Dropdown(label="Sample of A", elem_id="sample-a", min_width=120)
                right = gr.Dropdown(label="Sample of B", elem_id="sample-b", min_width=120)
            diff = gr.HTML(elem_id="compare-diff")
    order, most, problem = gr.State(("", False)), gr.State(PAGE), gr.State("")
    file_name, file_text = (gr.Textbox(visible="hidden", label=x) for x in ("name", "page"))

    def refresh(request: gr.Request) -> list[Any]:
        view = request.query_params
        with page_messages():
            results = find_results(library)
        known = [one.label for one in results]
        group = [one.label for one in results if one.group == results[0].group]
        usual = {"a": group[0], "b": group[-1]} if group else {"a": None, "b": None}
        values = [view[x] if view.get(x) in known else usual[x] for x in ("a", "b")]
        return [
            *(gr.Dropdown(choices=known, value=value) for value in values),
            gr.Dropdown(choices=known, value=[]),
            gr.HTML(_note(library, len(known)), visible=len(known) < 2),
        ]

    def pair_of(a: Any, b: Any) -> tuple[Found, Found]:
        first, second = (find(library, text(x, "the result", MAX_LABEL)) for x in (a, b))
        return first, second

    def filters_of(kind: Any, level: Any, source: Any, words: Any) -> Filters:
        return Filters(
            one_of(kind, "what to show", KINDS),
            text(level, "the level", MAX_LABEL) or ALL,
            text(source, "the source", MAX_LABEL) or ALL,
            text(words, "the search", MAX_LABEL),
        )

    def show(a: Any, b: Any, more: Any) -> list[Any]:
        with page_messages():
            both = pair_of(a, b)
            first, second = (load(one) for one in both)
            comparison = compare(first, second)
            if not comparison.details:
                raise UserError("the two results have no k in common")
            others = [load(find(library, x)) for x in labels(more or [], "results", MORE)]
            sides = "".join(
                f'<p><span class="letter c{i}">{"AB"[i]}</span> {code(one.label)}</p>'
                for i, one in enumerate(both)
            )
            level, source = (
                gr.Dropdown(choices=found, value=ALL, visible=len(found) > 2)
                for found in (values_of(*both, "level"), values_of(*both, "source"))
            )
            rows = table_html(*both, Filters(), ("", False))
            drawn = curves([first, second, *others])
        return [gr.Column(visible=True), headline(comparison, first, second) + sides, drawn, "all",
                level, source, rows, ("", False), PAGE, *CLOSED]  # fmt: skip

    def show_first(shown: str, *rest: Any) -> list[Any]:
        """On opening the tab: what is chosen already, if it can be compared."""
        if shown or not all(rest[:2]) or rest[0] == rest[1]:
            return [gr.skip()] * len(outputs)
        return show(*rest)

    def show_linked(shown: str, a: Any, b: Any, more: Any, request: gr.Request) -> list[Any]:
        """The same where the address opens the tab, which may be before anything is chosen."""
        if request.query_params.get("tab") != "compare":
            return [gr.skip()] * len(outputs)
        return show_first(shown, a, b, more)

    def filtered(a: Any, b: Any, kind: Any, level: Any, source: Any, words: Any,
                 order: Order) -> list[Any]:  # fmt: skip
        with page_messages():
            filters = filters_of(kind, level, source, words)
            return [table_html(*pair_of(a, b), filters, order), PAGE]

    def touched(a: Any, b: Any, kind: Any, level: Any, source: Any, words: Any, order: Order,
                most: int, event: gr.EventData) -> list[Any]:  # fmt: skip
        """A click into the table: another order, more rows, or a problem to open."""
        with page_messages():
            what, both = chosen(event), pair_of(a, b)
            if "row" in what:
                opened = open_problem(both, what["row"])
                return [*[gr.skip()] * 3, *opened]
            order = next_order(order, what["sort"]) if "sort" in what else order
            most = min(most + PAGE, MOST_ROWS) if "more" in what else most
            rows = table_html(*both, filters_of(kind, level, source, words), order, most)
            return [rows, order, most, *[gr.skip()] * len(CLOSED)]

    def open_problem(both: tuple[Found, Found], problem: str) -> list[Any]:
        results = [load(one) for one in both]
        mine = [samples_of(result, problem) for result in results]
        if mine[0].empty or mine[1].empty:
            raise UserError("there is no such problem in both results")
        first = mine[0].iloc[0]
        asked = f"{to_markdown(str(first.question))}\n\n**Correct answer:** " + to_markdown(
            str(first.gold)
        )
        names = [
            [
                (f"{i + 1}: {mark(r)} {'' if e is None else str(e)[:30]}", i)
                for i, (r, e) in enumerate(zip(m["reward"], m["extracted"], strict=True))
            ]
            for m in mine
        ]
        pair = [gr.Dropdown(choices=n, value=0) for n in names]
        texts = [str(m["completion"].iloc[0]) for m in mine]
        return [asked, sides_html(results, problem), gr.Row(visible=True), *pair,
                difference_html(*texts), problem]  # fmt: skip

    def other_diff(a: Any, b: Any, problem: Any, left: Any, right: Any) -> str:
        with page_messages():
            texts = []
            for one, place in zip(pair_of(a, b), (left, right), strict=True):
                mine = samples_of(load(one), text(problem, "the problem", MAX_LABEL))
                at = whole(place, "the sample", 0, max(0, len(mine) - 1))
                texts.append(str(mine["completion"].iloc[at]) if len(mine) else "")
            return difference_html(*texts)

    def zoomed(a: Any, b: Any, more: Any, event: gr.EventData) -> str:
        with page_messages():
            what = chosen(event)
            window = (what["from"], what["to"]) if "from" in what else None
            others = [load(find(library, x)) for x in labels(more or [], "results", MORE)]
            return curves([*map(load, pair_of(a, b)), *others], window)

    def export(a: Any, b: Any, kind: Any, level: Any, source: Any, words: Any) -> list[str]:
        with page_messages():
            filters = filters_of(kind, level, source, words)
            return ["comparison.html", comparison_page(*pair_of(a, b), filters)]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    slow: dict[str, Any] = {**private, "show_progress": "minimal", "show_progress_on": b}
    fields = [a, b, kind, level, source, words]
    opened = [question, samples, pair, left, right, diff, problem]
    outputs = [found, head, plots, kind, level, source, table, order, most, *opened]
    page.load(refresh, None, [a, b, more, notes], **private).then(
        show_linked, [head, a, b, more], outputs, **slow
    )
    ask.click(show, [a, b, more], outputs, **slow)
    tab.select(show_first, [head, a, b, more], outputs, **slow)
    gr.on([kind.input, level.input, source.input, words.change], filtered, [*fields, order],
          [table, most], trigger_mode="always_last", **private)  # fmt: skip
    table.select(touched, [*fields, order, most], [table, order, most, *opened], **private)
    plots.select(zoomed, [a, b, more], plots, **private)
    gr.on([left.input, right.input], other_diff, [a, b, problem, left, right], diff, **private)
    save.click(export, fields, [file_name, file_text], **slow).then(
        None, [file_name, file_text], None, js=SAVE
    )
    ask.click(None, [a, b], None, js=remember(["a", "b"]))


HINT = "Click a problem to read its samples."
CLOSED = [HINT, "", gr.Row(visible=False), None, None, "", ""]


def _note(library: Library, results: int) -> str:
    """What to do where there are not two results yet."""
    what = "There is one evaluation only." if results else "There are no evaluations yet."
    run = next(iter(library.find_runs()), None)
    if run is None:
        return nothing_yet(COMMAND.format(model="BASE", adapter="CHECKPOINT", folder="RUN"), what)
    adapter = run.choices[-1].adapter or "CHECKPOINT"
    command = COMMAND.format(model=run.choices[0].model, adapter=adapter, folder=run.folder)
    return nothing_yet(command, what)
