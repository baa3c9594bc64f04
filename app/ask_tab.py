"""Ask: models answer one problem side by side, streamed, each with its verdict."""

import functools
from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.address import number_in, remember
from app.answer_view import (
    LETTERS,
    answer_head,
    first_difference,
    head,
    prompts_html,
    samples_head,
    token_colours,
)
from app.answers import AT_WORK, Answer, Answerer
from app.formulas import DELIMITERS, to_markdown
from app.html import code, note
from app.messages import page_messages
from app.problems import ANY, ProblemBook
from app.runs import Library
from app.values import MAX_GOLD, MAX_LABEL, MAX_QUESTION, MAX_SEED, labels, number, text, whole

VIEW = ("question", "gold", "a", "b", "c", "d", "temperature", "seed")
MAX_SAMPLES = 64
STORIES = """<b>This small model knows only short stories with numbers</b>; anything else gets
nonsense. <button type="button" data-press="#dice">Use a problem it knows</button>"""


def ask_tab(page: gr.Blocks, library: Library, book: ProblemBook, answerer: Answerer) -> None:
    """The fields, buttons and columns, and what they do."""
    with gr.Row(elem_classes="panes"):
        with gr.Column(scale=4, min_width=320, elem_classes="work"):
            notes = gr.HTML(visible=False, elem_id="ask-note")
            with gr.Row(elem_id="who"):
                boxes = [_model_box(letter) for letter in LETTERS[:2]]
            with gr.Row(elem_id="what"):
                question = gr.Textbox(
                    label="Problem",
                    placeholder="Type a problem, or press Random problem",
                    lines=2,
                    max_lines=5,
                    elem_id="question",
                    scale=4,
                    min_width=240,
                )
                gold = gr.Textbox(
                    label="Correct answer (optional)", elem_id="gold", scale=1, min_width=140
                )
            with gr.Row(elem_id="actions", elem_classes="actions"):
                ask = gr.Button("Ask", variant="primary", elem_id="ask", min_width=90)
                ask_many = gr.Button("Ask many times", elem_id="many", min_width=110)
                stop = gr.Button("Stop", elem_id="stop", min_width=60)
                previous = gr.Button("◀ Previous", elem_id="previous", min_width=80)
                dice = gr.Button("Random problem", elem_id="dice", min_width=110)
                following = gr.Button("Next ▶", elem_id="next", min_width=80)
                gr.Button("Settings", elem_id="settings-button", min_width=80)
            cells, tokens = _columns()
            difference = gr.HTML(elem_id="difference", elem_classes="part")
            prompts = gr.HTML(elem_id="prompts", elem_classes="part")
        with gr.Column(scale=1, min_width=250, elem_classes="side", elem_id="settings"):
            boxes += [_model_box(letter) for letter in LETTERS[2:]]
            source = gr.Dropdown(
                [book.data], value=book.data, label="Problems from", elem_id="source"
            )
            level = gr.Dropdown([ANY], value=ANY, label="Level", elem_id="level")
            temperature = gr.Slider(0, 2, value=0, step=0.1, label="Temperature (0: most likely)")
            seed = gr.Number(0, precision=0, label="Seed", elem_id="seed")
            count = gr.Slider(2, MAX_SAMPLES, value=16, step=1, label="How many times to ask")
            colours = gr.Checkbox(
                label="Colour the tokens: green where training made them likelier, red where less",
                elem_id="colours",
            )
    place, told = gr.State(0), gr.State([])

    def refresh(request: gr.Request) -> list[Any]:
        view = dict(request.query_params)
        known = list(library.choices())
        usual = _usual(library)
        keys = ("a", "b", "c", "d")
        values = [view[k] if view.get(k) in known else usual[i] for i, k in enumerate(keys)]
        with page_messages():
            sources = book.sources()
        shown = notes_html(library, values)
        return [
            *(gr.Dropdown(choices=known, value=value) for value in values),
            view.get("question", "")[:MAX_QUESTION],
            view.get("gold", "")[:MAX_GOLD],
            number_in(view.get("temperature"), 0.0, 2.0),
            int(number_in(view.get("seed"), 0, MAX_SEED)),
            gr.Dropdown(choices=sources, value=sources[0]),
            gr.HTML(shown, visible=bool(shown)),
        ]

    def note_again(*chosen: Any) -> Any:
        with page_messages():
            shown = notes_html(library, labels(chosen, "models"))
        return gr.HTML(shown, visible=bool(shown))

    def levels(source: Any) -> Any:
        with page_messages():
            found = book.levels(text(source, "the set", MAX_LABEL))
            return gr.Dropdown(choices=found, value=ANY)

    def pick(move: int, source: Any, level: Any, at: Any) -> tuple[str, str, int]:
        with page_messages():
            names = text(source, "the set", MAX_LABEL), text(level, "the level", MAX_LABEL)
            problem, at = book.pick(*names, at, move)
        return problem.question, problem.answer, at

    def answer_all(question: Any, gold: Any, *rest: Any) -> Iterator[list[Any]]:
        *names, temperature, seed, colours = rest
        with page_messages():
            asked = library.choose(labels(names, "models"))
            question = text(question, "the problem", MAX_QUESTION)
            gold = text(gold, "the correct answer", MAX_GOLD)
            heat = number(temperature, "the temperature", 0, 2)
            latest: list[Answer] = []
            stream = answerer.stream(question, asked, heat, whole(seed, "the seed", 0, MAX_SEED))
            for latest in stream:
                heads = [answer_head(i, a, gold, done=False) for i, a in enumerate(latest)]
                yield [
                    *_layout(heads, [to_markdown(a.completion.text) for a in latest]),
                    *[""] * len(LETTERS),
                    "",
                    "",
                    latest,
                ]
            heads = [answer_head(i, a, gold, done=True) for i, a in enumerate(latest)]
            told, marks = first_difference(answerer, latest)
            bodies = [
                to_markdown(a.completion.text, mark) for a, mark in zip(latest, marks, strict=True)
            ]
            prompt = prompts_html(answerer, question, asked)
            yield [*_layout(heads, bodies), *colour(latest, colours), told, prompt, latest]

    def sample_all(question: Any, gold: Any, *rest: Any) -> Iterator[list[Any]]:
        *names, _, seed, count = rest
        with page_messages():
            asked = library.choose(labels(names, "models"))
            question = text(question, "the problem", MAX_QUESTION)
            gold = text(gold, "the correct answer", MAX_GOLD)
            n = whole(count, "how many times to ask", 2, MAX_SAMPLES)
            done: list[tuple[str, str]] = []
            stream = answerer.sample(question, asked, n, whole(seed, "the seed", 0, MAX_SEED))
            for waiting, groups in stream:
                for i in range(len(done), len(groups)):
                    texts = [c.text for c in groups[i]]
                    done.append(samples_head(i, asked[i], texts, gold))
                shown = list(done)
                for i in range(len(done), len(asked)):
                    now = f"{code(waiting)} …" if i == len(done) else "waits for its turn"
                    shown.append((head(i, asked[i].label, now), ""))
                heads, bodies = zip(*shown, strict=True)
                yield [*_layout(heads, [""] * len(asked)), *_padded(bodies), "", "", []]

    def colour(told: list[Answer], wanted: Any) -> list[str]:
        return _padded(token_colours(answerer, told) if wanted is True else [])

    def recolour(told: list[Answer], colours: Any) -> list[str]:
        with page_messages():
            return colour(told, colours)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    fields = [question, gold, *boxes, temperature, seed]
    outputs = [*cells, *tokens, difference, prompts, told]
    page.load(refresh, None, [*boxes, question, gold, temperature, seed, source, notes], **private)
    gr.on([box.input for box in boxes], note_again, boxes, notes, **private)
    source.change(levels, source, level, **private)
    for button, move in ((previous, -1), (dice, 0), (following, 1)):
        button.click(
            functools.partial(pick, move), [source, level, place], [question, gold, place],
            api_visibility="private", show_progress="minimal", show_progress_on=question,
        )  # fmt: skip
    model: dict[str, Any] = {
        "concurrency_limit": AT_WORK,
        "concurrency_id": "model",
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": difference,  # where the place in the queue is told
    }
    going = [
        gr.on([ask.click, question.submit, gold.submit], answer_all, [*fields, colours], outputs,
              **model),
        ask_many.click(sample_all, [*fields, count], outputs, **model),
    ]  # fmt: skip
    colours.change(recolour, [told, colours], tokens, **private)
    gr.on([ask.click, question.submit, gold.submit, ask_many.click], None, fields, None,
          js=remember(VIEW))  # fmt: skip
    stop.click(None, None, None, cancels=going, api_visibility="private")


def _model_box(letter: str) -> gr.Dropdown:
    optional = "" if letter in LETTERS[:2] else " (optional)"
    return gr.Dropdown(label=f"Model {letter}{optional}", interactive=True, min_width=140)


def _columns() -> tuple[list[Any], list[Any]]:
    """A column for each model: (column, head, answer) of all, and the coloured tokens of all."""
    cells: list[Any] = []
    tokens: list[Any] = []
    with gr.Row(elem_id="answers"):
        for letter in LETTERS:
            name = letter.lower()
            first = letter in LETTERS[:2]
            with gr.Column(visible=first, min_width=230, elem_classes="card") as column:
                top = gr.HTML(elem_id=f"{name}-head", elem_classes="head")
                answer = gr.Markdown(
                    elem_id=f"{name}-answer",
                    elem_classes="answer",
                    latex_delimiters=DELIMITERS,
                )
                tokens.append(gr.HTML(elem_id=f"{name}-tokens"))
            cells += [column, top, answer]
    return cells, tokens


def _layout(heads: Any, bodies: Any) -> list[Any]:
    """What the columns show: head and answer of each model, the rest hidden."""
    values: list[Any] = []
    for i in range(len(LETTERS)):
        top, body = (heads[i], bodies[i]) if i < len(heads) else ("", "")
        values += [gr.Column(visible=i < max(2, len(heads))), top, body]
    return values


def _padded(shown: Any) -> list[str]:
    return [*shown, *[""] * (len(LETTERS) - len(shown))]


def _usual(library: Library) -> list[str | None]:
    """The newest run's base and last checkpoint, or what the command line named."""
    named = [*library.models, *library.adapters]
    run = next(iter(library.find_runs()), None)
    if named:
        known = list(library.choices())[: len(named)]
        return [known[0], known[-1] if len(known) > 1 else None, None, None]
    mine = run.choices if run else ()
    return [mine[0].label, mine[-1].label, None, None] if mine else [None] * len(LETTERS)


def notes_html(library: Library, chosen: Any) -> str:
    """What to know before asking: what is missing here, what cannot be read, what a model knows."""
    runs, known = library.find_runs(), library.choices()
    parts = []
    if not known:
        parts.append(
            note(
                f"<b>No runs here yet.</b> Make one with <code>make demo</code>, or train with "
                "<code>python -m train CONFIG.toml</code>, then reload this page. Runs are looked "
                f"for in <code>{code(library.runs)}</code>."
            )
        )
    elif runs and len(runs[0].choices) == 1 and not library.adapters:
        folder = code(runs[0].folder)
        parts.append(
            note(
                f"<b>{code(runs[0].name)} has no checkpoint yet</b>, so only its base model can "
                "be asked. One is written every <code>run.save_every</code> steps; a run that "
                f"stopped is resumed by <code>python -m train {folder}/config.toml --resume</code>"
            )
        )
    for name, reason in list(library.unreadable().items())[:5]:
        parts.append(note(f"The run <b>{code(name)}</b> cannot be read: {code(reason)}"))
    if any(known[c].stories_only for c in chosen if c in known):
        parts.append(note(STORIES))
    return "".join(parts)
