"""Try it: checkpoints answer one problem side by side, streamed, each with its verdict."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.address import number, remember
from app.answers import MAX_QUESTION, Answer, Answerer
from app.problems import ANY, ProblemBook
from app.runs import Choice, find_choices, find_runs
from app.shown import show_colours, show_parting, tally_html, verdict_html
from app.text import DELIMITERS, to_markdown
from app.words import in_words
from common.errors import UserError

SIDES = ("left", "right", "third", "fourth")
VIEW = ("question", "gold", *SIDES, "temperature", "seed")
MAX_GOLD = 500  # characters
MAX_SAMPLES = 64
MAX_SEED = 2**31 - 1
NO_RUNS = """### No runs here yet

Make one with `make demo`, or train with `python -m train CONFIG.toml`, then reload this page.
Runs are looked for in `{runs}`."""
NO_CHECKPOINTS = """### {run} has no checkpoint yet

One is written every `run.save_every` steps. If the run stopped, go on with it:

    python -m train {folder}/config.toml --resume

Until then only its base can be asked."""


def try_tab(page: gr.Blocks, runs: Path, book: ProblemBook, answerer: Answerer) -> None:
    """The fields, buttons and columns, and what they do."""
    note = gr.Markdown(visible=False, elem_id="try-note")
    with gr.Row():
        boxes = [gr.Dropdown(label=side.title(), interactive=True) for side in SIDES[:2]]
    with gr.Accordion("More checkpoints", open=False), gr.Row():
        boxes += [gr.Dropdown(label=side.title(), interactive=True) for side in SIDES[2:]]
    question = gr.Textbox(label="Problem", lines=3, max_length=MAX_QUESTION, elem_id="question")
    gold = gr.Textbox(label="Reference answer (optional)", max_length=MAX_GOLD, elem_id="gold")
    with gr.Row():
        ask = gr.Button("Answer", variant="primary", elem_id="ask")
        many = gr.Button("Sample", elem_id="many")
        stop = gr.Button("Stop", elem_id="stop")
    with gr.Row(elem_id="picking"):
        source = gr.Dropdown(label="Problems", interactive=True, elem_id="source", scale=3)
        level = gr.Dropdown([ANY], value=ANY, label="Level", elem_id="level", scale=1)
        previous = gr.Button("◀ Previous", elem_id="previous", scale=1, min_width=80)
        dice = gr.Button("⚄ Pick one", elem_id="dice", scale=1, min_width=80)
        following = gr.Button("Next ▶", elem_id="next", scale=1, min_width=80)
    with gr.Accordion("Sampling", open=False), gr.Row():
        temperature = gr.Slider(0, 2, value=0, step=0.1, label="Temperature (0: greedy)")
        seed = gr.Number(0, precision=0, minimum=0, maximum=MAX_SEED, label="Seed")
        count = gr.Slider(2, MAX_SAMPLES, value=16, step=1, label="Samples")
    colours = gr.Checkbox(
        label="Colour tokens: green where training made them likelier, red where less likely",
        elem_id="colours",
    )
    part = gr.HTML(elem_id="part", elem_classes="part")
    cells, tokens = _columns()
    place, told = gr.State(0), gr.State([])

    def refresh(request: gr.Request) -> list[Any]:
        view = dict(request.query_params)
        labels = list(find_choices(runs))
        usual = _usual(runs)
        values = [view[s] if view.get(s) in labels else usual[i] for i, s in enumerate(SIDES)]
        with in_words():
            sources = book.sources()
        return [
            *(gr.Dropdown(choices=labels, value=value) for value in values),
            view.get("question", "")[:MAX_QUESTION],
            view.get("gold", "")[:MAX_GOLD],
            number(view.get("temperature"), 0.0, 2.0),
            int(number(view.get("seed"), 0, MAX_SEED)),
            gr.Dropdown(choices=sources, value=sources[0]),
            gr.Markdown(_note(runs), visible=bool(_note(runs))),
        ]

    def levels(source: str | None) -> Any:
        with in_words():
            return gr.Dropdown(choices=book.levels(source), value=ANY)

    def pick(move: int, source: str, level: str, at: int) -> tuple[str, str, int]:
        with in_words():
            problem, at = book.pick(source, level, at, move)
        return problem.question, problem.answer, at

    def answer_all(question: str, gold: str, *rest: Any) -> Iterator[list[Any]]:
        *labels, temperature, seed, colours = rest
        with in_words():
            asked = choose(runs, labels)
            latest: list[Answer] = []
            for latest in answerer.stream(question, asked, temperature, int(seed)):
                yield ["", *_layout([("", to_markdown(a.completion.text)) for a in latest])] + (
                    ["" for _ in SIDES] + [latest]
                )
            words, marks = show_parting(answerer, latest)
            shown = [
                (verdict_html(a.completion.text, gold), to_markdown(a.completion.text, mark))
                for a, mark in zip(latest, marks, strict=True)
            ]
            yield [words, *_layout(shown), *colour(latest, colours), latest]

    def sample_all(question: str, gold: str, *rest: Any) -> Iterator[list[Any]]:
        *labels, _, seed, count = rest
        with in_words():
            asked = choose(runs, labels)
            n = min(max(int(count), 2), MAX_SAMPLES)
            for groups in answerer.sample(question, asked, n, int(seed)):
                shown = [tally_html([c.text for c in group], gold) for group in groups]
                shown += [("", "")] * (len(asked) - len(groups))
                yield ["", *_layout(shown), *["" for _ in SIDES], []]

    def colour(told: list[Answer], wanted: bool) -> list[str]:
        shown = show_colours(answerer, told) if wanted else []
        return shown + [""] * (len(SIDES) - len(shown))

    def recolour(told: list[Answer], colours: bool) -> list[str]:
        with in_words():
            return colour(told, colours)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    fields = [question, gold, *boxes, temperature, seed]
    outputs = [part, *cells, *tokens, told]
    page.load(refresh, None, [*boxes, question, gold, temperature, seed, source, note], **private)
    source.change(levels, source, level, **private)
    for button, move in ((previous, -1), (dice, 0), (following, 1)):
        button.click(
            functools.partial(pick, move), [source, level, place], [question, gold, place],
            **private,
        )  # fmt: skip
    model: dict[str, Any] = {
        "concurrency_limit": 4,
        "concurrency_id": "model",
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": part,  # where the place in the queue is told
    }
    going = [
        gr.on([ask.click, question.submit, gold.submit], answer_all, [*fields, colours], outputs,
              **model),
        many.click(sample_all, [*fields, count], outputs, **model),
    ]  # fmt: skip
    colours.change(recolour, [told, colours], tokens, **private)
    gr.on([ask.click, question.submit, gold.submit, many.click], None, fields, None,
          js=remember(VIEW))  # fmt: skip
    stop.click(None, None, None, cancels=going, api_visibility="private")


def _columns() -> tuple[list[Any], list[Any]]:
    """A column for each side: (column, verdict, answer) of all, and the coloured tokens of all."""
    cells: list[Any] = []
    tokens: list[Any] = []
    with gr.Row():
        for side in SIDES:
            with gr.Column(visible=side in SIDES[:2], min_width=280) as column:
                verdict = gr.HTML(elem_id=f"{side}-verdict")
                answer = gr.Markdown(
                    elem_id=f"{side}-answer",
                    elem_classes="answer",
                    latex_delimiters=DELIMITERS,
                    container=True,
                )
                tokens.append(gr.HTML(elem_id=f"{side}-tokens"))
            cells += [column, verdict, answer]
    return cells, tokens


def _layout(shown: list[tuple[str, str]]) -> list[Any]:
    """What the columns show: (verdict, answer) of each checkpoint, the rest hidden."""
    values: list[Any] = []
    for i in range(len(SIDES)):
        verdict, answer = shown[i] if i < len(shown) else ("", "")
        values += [gr.Column(visible=i < max(2, len(shown))), verdict, answer]
    return values


def choose(runs: Path, labels: Sequence[str | None]) -> list[Choice]:
    """The choices of some labels; UserError unless there is one at least and all are there."""
    known = find_choices(runs)
    wanted = [label for label in labels if label]
    if not wanted:
        raise UserError("choose a checkpoint first")
    for label in wanted:
        if label not in known:
            raise UserError(f"there is no checkpoint '{str(label)[:80]}' here; reload the page")
    return [known[label] for label in wanted]


def _usual(runs: Path) -> list[str | None]:
    """The newest run's base and last checkpoint."""
    found = find_runs(runs)
    mine = found[0].choices if found else ()
    return [mine[0].label, mine[-1].label, None, None] if mine else [None] * len(SIDES)


def _note(runs: Path) -> str:
    """What to do where there is nothing to compare yet."""
    found = find_runs(runs)
    if not found:
        return NO_RUNS.format(runs=runs)
    if len(found[0].choices) == 1:
        return NO_CHECKPOINTS.format(run=found[0].name, folder=found[0].folder)
    return ""
