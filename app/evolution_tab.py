"""Evolution: the problems of a set over all checkpoints of a run."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.address import remember
from app.answers import AT_WORK, Answerer
from app.compare_tab import SAVE
from app.evolution import (
    OUTCOMES,
    Evolution,
    Stage,
    map_html,
    problem_html,
    read_evolution,
    stages_of,
)
from app.export import document
from app.formulas import to_markdown
from app.html import code, note
from app.messages import page_messages
from app.results import find_results, load
from app.runs import Library
from app.tables import MOST_ROWS, PAGE, chosen, table_beside_a_problem
from app.values import MAX_GOLD, MAX_LABEL, MAX_QUESTION, one_of, text
from common.errors import UserError
from rewards import check

LIVE_SAMPLES = 16
EMPTY = note(
    "<b>No run here has evaluations of two checkpoints or more on one set.</b> Set "
    "<code>eval.every</code> and <code>eval.data</code> in a run's configuration, or evaluate "
    "checkpoints with <code>python -m eval … --out RUN/eval/SET/CHECKPOINT</code>. You can still "
    "ask every checkpoint one problem below."
)


def evolution_tab(page: gr.Blocks, tab: gr.Tab, library: Library, answerer: Answerer) -> None:
    """A run's set to choose, the map, one problem over the checkpoints, and live sampling."""
    notes = gr.HTML(EMPTY, visible=False, elem_id="evolution-note")
    with gr.Row(elem_classes="actions"):
        group = gr.Dropdown(label="Run and problem set", elem_id="evolution-set", min_width=220)
        outcome = gr.Dropdown([(v, k) for k, v in OUTCOMES.items()], value="all", label="Show",
                              elem_id="evolution-outcome", min_width=180)  # fmt: skip
        words = gr.Textbox(label="Search the problems", elem_classes="search", min_width=160)
        save = gr.Button("Save as one HTML file", elem_id="evolution-save", min_width=120)
    drawn, question, beside = table_beside_a_problem(
        "evolution-map", "Click a problem to see how its answers changed."
    )
    with beside:
        detail = gr.HTML(elem_id="evolution-problem")
    with gr.Accordion("Ask every checkpoint of a run a problem of your own", open=False):
        with gr.Row(elem_classes="actions"):
            run = gr.Dropdown(label="Run", elem_id="live-run", min_width=160)
            own = gr.Textbox(label="Problem", elem_id="live-question", min_width=240, scale=3)
            gold = gr.Textbox(label="Correct answer (optional)", min_width=140)
        with gr.Row(elem_classes="actions"):
            live = gr.Button("Ask every checkpoint", variant="primary", elem_id="live")
            stop = gr.Button("Stop", elem_id="live-stop")
        progress = gr.HTML(elem_id="live-progress")
        grown = gr.HTML(elem_id="live-result")
    most, problem = gr.State(PAGE), gr.State("")
    file_name, file_text = (gr.Textbox(visible="hidden", label=x) for x in ("name", "page"))

    def groups() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for result in find_results(library):
            found.setdefault(result.group, []).append(result)
        return {name: results for name, results in found.items() if len(results) > 1}

    def read(name: Any) -> Evolution:
        known = groups()
        name = text(name, "the set", MAX_LABEL)
        if name not in known:
            raise UserError("choose a run and a problem set first")
        return read_evolution(known[name])

    def refresh(request: gr.Request) -> list[Any]:
        view = request.query_params
        with page_messages():
            known, runs = list(groups()), [r.name for r in library.find_runs()]
        value = view.get("set") if view.get("set") in known else (known[0] if known else None)
        return [
            gr.Dropdown(choices=known, value=value),
            gr.Dropdown(choices=runs, value=runs[0] if runs else None),
            gr.HTML(visible=not known),
        ]

    def show(name: Any, outcome: Any, words: Any) -> list[Any]:
        if not name:
            return ["", PAGE]
        with page_messages():
            outcome = one_of(outcome, "what to show", OUTCOMES)
            return [map_html(read(name), outcome, text(words, "the search", MAX_LABEL)), PAGE]

    def show_linked(name: Any, outcome: Any, words: Any, request: gr.Request) -> list[Any]:
        """The same where the address opens the tab, which may be before anything is chosen."""
        if request.query_params.get("tab") != "evolution":
            return [gr.skip(), gr.skip()]
        return show(name, outcome, words)

    def touched(name: Any, outcome: Any, words: Any, most: int, event: gr.EventData) -> list[Any]:
        with page_messages():
            what, found = chosen(event), read(name)
            if "row" in what:
                return [gr.skip(), gr.skip(), *open_problem(found, what["row"])]
            if "more" in what:
                most = min(most + PAGE, MOST_ROWS)
            outcome = one_of(outcome, "what to show", OUTCOMES)
            shown = map_html(found, outcome, text(words, "the search", MAX_LABEL), most)
            return [shown, most, gr.skip(), gr.skip(), gr.skip()]

    def open_problem(found: Evolution, problem: str) -> list[Any]:
        samples = load(found.stages[0])[1]
        mine = samples[samples["problem"] == problem]
        if mine.empty:
            raise UserError("there is no such problem in this set")
        asked = f"{to_markdown(str(mine['question'].iloc[0]))}\n\n**Correct answer:** "
        asked += to_markdown(str(mine["gold"].iloc[0]))
        return [asked, problem_html(stages_of(found, problem)), problem]

    def ask_all(name: Any, question: Any, gold: Any) -> Iterator[list[str]]:
        with page_messages():
            choices = library.run(text(name, "the run", MAX_LABEL)).choices
            question = text(question, "the problem", MAX_QUESTION)
            gold = text(gold, "the correct answer", MAX_GOLD).strip()
            stages: list[Stage] = []
            stream = answerer.sample(question, list(choices), LIVE_SAMPLES, 0)
            for waiting, sampled in stream:
                for place in range(len(stages), len(sampled)):
                    texts = [c.text for c in sampled[place]]
                    stages.append(_stage(choices[place].label, texts, gold))
                done = f"{len(stages)} of {len(choices)} checkpoints asked"
                now = f"{done}: {code(waiting)} …" if waiting else f"{done}."
                yield [f"<p>{now}</p>", problem_html(stages) if stages else ""]

    def export(name: Any, outcome: Any, words: Any, problem: Any) -> list[str]:
        with page_messages():
            found = read(name)
            outcome = one_of(outcome, "what to show", OUTCOMES)
            words = text(words, "the search", MAX_LABEL)
            body = f"<h1>{code(name)}</h1>{map_html(found, outcome, words, MOST_ROWS)}"
            if problem := text(problem, "the problem", MAX_LABEL):
                body += f"<h2>{code(found.questions[problem])}</h2>"
                body += problem_html(stages_of(found, problem))
            return ["evolution.html", document(str(name), body)]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    fields = [group, outcome, words]
    page.load(refresh, None, [group, run, notes], **private).then(
        show_linked, fields, [drawn, most], **private
    )
    slow: dict[str, Any] = {**private, "show_progress": "minimal", "show_progress_on": group}
    tab.select(show, fields, [drawn, most], **slow)
    gr.on([group.input, outcome.input, words.change], show, fields, [drawn, most],
          trigger_mode="always_last", **private)  # fmt: skip
    group.input(None, group, None, js=remember(["set"]))
    drawn.select(touched, [*fields, most], [drawn, most, question, detail, problem], **private)
    going = gr.on([live.click, own.submit, gold.submit], ask_all, [run, own, gold],
                  [progress, grown], api_visibility="private", concurrency_limit=AT_WORK,
                  concurrency_id="model", show_progress_on=progress)  # fmt: skip
    stop.click(None, None, None, cancels=[going], api_visibility="private")
    save.click(export, [*fields, problem], [file_name, file_text], **slow).then(
        None, [file_name, file_text], None, js=SAVE
    )


def _stage(label: str, texts: list[str], gold: str) -> Stage:
    """Fresh samples of a checkpoint as a stage."""
    verdicts = [check(one, gold) for one in texts]
    name = label.rpartition(": ")[2]
    step = float(name.removeprefix("step ")) if name.startswith("step ") else 0.0
    rewards = [v.reward for v in verdicts] if gold else None
    return Stage(name, step, texts, [v.extracted for v in verdicts], rewards)
