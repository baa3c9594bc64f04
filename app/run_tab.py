"""Training: curves while training goes on, warnings, the groups of a step, a search in all."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import pandas

from app.address import number_in, remember
from app.answers import Answerer
from app.html import code, mark, note
from app.messages import page_messages
from app.rollouts import KINDS, groups_of, index_of, read_step
from app.runs import Library
from app.tables import chosen, rows_html, table_box
from app.token_changes import coloured, token_texts
from app.training import (
    AXES,
    SHOWN,
    curves_html,
    is_number,
    metrics_of,
    settings_html,
    stamp,
    state_html,
    step_html,
    warnings_html,
)
from app.values import MAX_LABEL, MAX_STEP, labels, number, one_of, text, whole
from common.errors import UserError

REFRESH = 3.0  # seconds
MOST = 6  # runs at once
HITS = 100  # rows of a search
SOON = 4.0  # seconds until the rollouts of a run that is looked at are read
WAIT = 20.0  # seconds for a search to wait until the rollouts are read
COLUMNS = [("step", "Step", "number"), ("reward", "Verdict", ""), ("advantage", "Advantage",
           "number"), ("question", "Problem", ""), ("completion", "Completion", "")]  # fmt: skip


def run_tab(page: gr.Blocks, library: Library, answerer: Answerer) -> None:
    """Runs to choose, their curves, warnings, one step, the search, the configuration."""
    notes = gr.HTML(visible=False, elem_id="run-note")
    with gr.Row(elem_classes="actions"):
        names = gr.Dropdown(label="Runs (the first is looked into)", multiselect=True,
                            max_choices=MOST, elem_id="run-names", min_width=220)  # fmt: skip
        axis = gr.Dropdown([(v, k) for k, v in AXES.items()], value="step", label="Curves over",
                           min_width=110, elem_id="run-axis")  # fmt: skip
        smoothing = gr.Slider(0, 0.98, value=0, step=0.02, label="Smoothing", min_width=140)
    state = gr.HTML(elem_id="run-state")
    warnings = gr.HTML(elem_id="run-warnings")
    plots = table_box(elem_id="run-plots")
    with gr.Tabs():
        with gr.Tab("One step"):
            with gr.Row(elem_classes="actions"):
                step = gr.Number(1, precision=0, label="Step", elem_id="run-step", min_width=100)
                group = gr.Number(1, precision=0, label="First problem", min_width=100,
                                  elem_id="run-group")  # fmt: skip
                colours = gr.Checkbox(
                    label="Colour the tokens by what training changed since (asks the last "
                    "checkpoint)",
                    elem_id="run-colours",
                )
            groups = gr.HTML(elem_id="run-groups")
        with gr.Tab("Search all completions"):
            with gr.Row(elem_classes="actions"):
                words = gr.Textbox(label="Words in problem or completion", elem_id="run-words",
                                   elem_classes="search", min_width=200)  # fmt: skip
                kind = gr.Dropdown([(v, k) for k, v in KINDS.items()], value="all",
                                   label="Verdict", min_width=120)  # fmt: skip
                lowest = gr.Number(0, label="Reward at least", min_width=100)
                look = gr.Button("Search", variant="primary", elem_id="run-search")
            hits = table_box(elem_id="run-hits")
            opened = gr.HTML(elem_id="run-hit")
        with gr.Tab("Configuration"):
            settings = gr.HTML(elem_id="run-settings")
    drawn, window = gr.State(""), gr.State(None)
    timer = gr.Timer(REFRESH)

    def folders(names: Any) -> list[Path]:
        known = {run.name: run.folder for run in library.find_runs()}
        return [known[name] for name in labels(names or [], "runs", MOST) if name in known]

    def first_of(names: Any) -> Path:
        found = folders(names)
        if not found:
            raise UserError("choose a run first")
        return found[0]

    def refresh(request: gr.Request) -> list[Any]:
        known = [run.name for run in library.find_runs()]
        wanted = [x for x in request.query_params.get("runs", "").split(",") if x in known]
        at = int(number_in(request.query_params.get("step"), 1, MAX_STEP))
        shown = note(
            "<b>No runs here yet.</b> Start one with <code>make demo</code> or <code>python -m "
            f"train CONFIG.toml --run.dir {code(library.runs)}/NAME</code>"
        )
        return [
            gr.Dropdown(choices=known, value=wanted[:MOST] or known[:1]),
            at,
            gr.HTML(shown, visible=not known),
        ]

    def draw(names: Any, axis: Any, smoothing: Any, window: Any, drawn: Any) -> list[Any]:
        with page_messages():
            found = folders(names)
            axis = one_of(axis, "the axis", AXES)
            smoothing = number(smoothing, "the smoothing", 0, 0.98)
            seen = repr([*[(f.name, stamp(f)) for f in found], axis, smoothing, window])
            if seen == drawn:  # nothing new: a page that is only looked at costs nothing
                return [gr.skip()] * 4
            lines = metrics_of(found)
            told = warnings_html(found[0]) if found else ""
            return [state_html(lines), told, curves_html(lines, axis, smoothing, window), seen]

    def zoomed(event: gr.EventData) -> Any:
        with page_messages():
            what = chosen(event)
        return (what["from"], what["to"]) if "from" in what else None

    def show(names: Any, step: Any, group: Any, colours: Any) -> str:
        with page_messages():
            found = folders(names)
            if not found:
                return ""
            step = whole(step, "the step", 0, MAX_STEP)
            at = whole(group, "the first problem", 1, MAX_STEP) - 1
            try:
                rows = read_step(found[0], step)
            except UserError as error:
                return note(f"{html.escape(str(error))}.")
            painted = token_changes(found[0], rows, at) if colours is True else {}
            return step_html(rows, at, painted)

    def token_changes(run: Path, rows: pandas.DataFrame, at: int) -> dict[int, str]:
        """The tokens of the problems shown, coloured from when they were sampled to now."""
        last = library.run(run.name).choices[-1]
        if not {"prompt_ids", "token_ids", "logprobs"} <= set(rows.columns):
            raise UserError("these rollouts were kept without tokens")
        tokenizer = answerer.tokenizer(last)
        painted = {}
        for group in groups_of(rows)[at : at + SHOWN]:
            for place, row in zip(group.index, group.to_dict("records"), strict=True):
                ids, was = [int(i) for i in row["token_ids"]], [float(x) for x in row["logprobs"]]
                if ids and len(ids) == len(was):
                    now = answerer.logprobs(last, [int(i) for i in row["prompt_ids"]], ids)
                    painted[place] = coloured(token_texts(ids, tokenizer), was, now)
        return painted

    def search(names: Any, words: Any, kind: Any, lowest: Any) -> str:
        with page_messages():
            words = text(words, "the search", MAX_LABEL)
            kind = one_of(kind, "the verdict", KINDS)
            lowest = number(lowest, "the reward", -1e9, 1e9)
            found = index_of(first_of(names)).search(words, kind, lowest, HITS, WAIT)
            rows = [_hit(row, words) for row in found.rows.to_dict("records")]
            left = f"; {found.unread} files are not read yet or unreadable" if found.unread else ""
            shown = rows_html("completions found", COLUMNS, rows, ("", False), found.total,
                              sortable=False)  # fmt: skip
            return f"<p>{found.searched:,} completions searched{left}.</p>{shown}"

    def open_hit(names: Any, event: gr.EventData) -> Any:
        with page_messages():
            what = chosen(event)
            if "row" not in what:
                return gr.skip()
            step, _, row = what["row"].partition("/")
            if not (step.isascii() and step.isdigit() and row.isascii() and row.isdigit()):
                raise UserError("there is no such completion")
            rows = read_step(first_of(names), whole(int(step), "the step", 0, MAX_STEP))
            one = rows.iloc[[int(row)]] if int(row) < len(rows) else rows.iloc[:0]
            return step_html(one, 0, {}).replace("<details>", "<details open>")

    def configure(names: Any) -> str:
        with page_messages():
            found = folders(names)
            if found:
                index_of(found[0]).begin(SOON)
            return settings_html(found) if found else ""

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    page.load(refresh, None, [names, step, notes], **private)
    gr.on([names.change, axis.input, smoothing.release, window.change, timer.tick], draw,
          [names, axis, smoothing, window, drawn], [state, warnings, plots, drawn],
          **private)  # fmt: skip
    plots.select(zoomed, None, window, **private)
    gr.on([names.change, step.change, group.change], show, [names, step, group, colours], groups,
          trigger_mode="always_last", **private)  # fmt: skip
    slow: dict[str, Any] = {
        **private,
        "show_progress": "minimal",
    }  # a model may be loaded, all rollouts be read
    colours.input(show, [names, step, group, colours], groups, trigger_mode="always_last", **slow)
    names.change(configure, names, settings, **private)
    gr.on([look.click, words.submit, kind.input], search, [names, words, kind, lowest], hits,
          **slow)  # fmt: skip
    hits.select(open_hit, names, opened, **private)
    gr.on([names.input, step.input], None, [names, step], None, js=remember(["runs", "step"]))


def _hit(row: Mapping[Any, Any], words: str) -> tuple[str, list[str]]:
    """A completion that was found, as a row of the table."""
    reward, advantage = row["reward"], row["advantage"]
    cells = [
        str(row["step"]),
        mark(reward) if reward in (0, 1) else f"{reward:.3g}",
        f"{advantage:+.2f}" if is_number(advantage) else "",
        code(str(row["question"])[:60]),
        code(around(str(row["completion"]), words)),
    ]
    return f"{row['step']}/{row['row']}", cells


def around(text: str, words: str, width: int = 110) -> str:
    """The part of a text around the first word searched for, on one line."""
    first = words.split()[0].lower() if words.split() else ""
    at = max(0, text.lower().find(first) - width // 3) if first else 0
    return " ".join(text[at : at + width].split())
