"""Blind test: two answers without names; the person picks the better one."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.answers import AT_WORK, Answerer
from app.blind import PICKS, Blind, keep, reveal_html, score_html
from app.formulas import DELIMITERS, to_markdown
from app.html import badge, code
from app.messages import page_messages
from app.problems import ProblemBook
from app.runs import Library
from app.values import MAX_LABEL, MAX_SEED, one_of, text, whole
from common.errors import UserError
from rewards import check

TRIES = 20  # problems in a row that both may answer alike
INTRO = """Two models answer the same problem; you pick the better answer without knowing whose it
is. The sides change at random. Names, correct answer and score come after each pick."""


def blind_tab(page: gr.Blocks, library: Library, book: ProblemBook, answerer: Answerer) -> None:
    """What to test, then rounds of two answers and a pick."""
    gr.HTML(f"<p>{INTRO}</p>")
    with gr.Column() as setup:
        with gr.Row(elem_classes="actions"):
            first = gr.Dropdown(label="One model", elem_id="blind-first", min_width=160)
            second = gr.Dropdown(label="The other", elem_id="blind-second", min_width=160)
            source = gr.Dropdown([book.data], value=book.data, label="Problems from", min_width=160)
            seed = gr.Number(0, precision=0, label="Seed", min_width=80, elem_id="blind-seed")
        start = gr.Button("Start the blind test", variant="primary", elem_id="blind-start")
    with gr.Column(visible=False, elem_id="blind-round") as round_box:
        state = gr.HTML(elem_id="blind-state")
        question = gr.Markdown(
            elem_classes="problem", elem_id="blind-question", latex_delimiters=DELIMITERS
        )
        with gr.Row():
            answers = []
            for number in (1, 2):
                with gr.Column(min_width=230, elem_classes="card"):
                    gr.HTML(f'<div class="card-head"><b>Answer {number}</b></div>')
                    answers.append(
                        gr.Markdown(elem_id=f"blind-{number}", elem_classes="answer",
                                    latex_delimiters=DELIMITERS)
                    )  # fmt: skip
        with gr.Row(elem_classes="actions"):
            picks = {
                key: gr.Button(label, elem_id=f"pick-{key}", interactive=False)
                for key, label in PICKS.items()
            }
            following = gr.Button("Next problem", elem_id="blind-next", variant="primary",
                                  interactive=False)  # fmt: skip
            end = gr.Button("End the test", elem_id="blind-end")
        told = gr.HTML(elem_id="blind-told")
    test = gr.State(None)

    def refresh() -> list[Any]:
        with page_messages():
            known, sources = list(library.choices()), book.sources()
            run = next(iter(library.find_runs()), None)
        mine = [c.label for c in run.choices] if run else known
        values = [mine[0], mine[-1]] if mine else [None, None]
        return [
            *(gr.Dropdown(choices=known, value=value) for value in values),
            gr.Dropdown(choices=sources, value=sources[0]),
        ]

    def begin(first: Any, second: Any, source: Any, seed: Any) -> Iterator[list[Any]]:
        with page_messages():
            names = [text(x, "the model", MAX_LABEL) for x in (first, second)]
            pair = library.choose([name for name in names if name])
            if len(pair) < 2 or pair[0] == pair[1]:
                raise UserError("choose two different models")
            seed = whole(seed, "the seed", 0, MAX_SEED)
            made = Blind(pair[0], pair[1], seed, text(source, "the set", MAX_LABEL))
        yield from next_round(made)

    def next_round(test: Any) -> Iterator[list[Any]]:
        with page_messages():
            made = _running(test)
            if made.problem and not made.picked:
                raise UserError("pick one of the answers first")
            problems = made.problems(book.all(made.source))
            for _ in range(TRIES):
                if made.round >= len(problems):
                    raise UserError("there are no more problems in this set")
                problem = problems[made.round]
                made = dataclasses.replace(made, round=made.round + 1, problem=problem, picked=True)
                yield _shown(made, "Both models are answering …", ["", ""], "", ready=False)
                *_, latest = answerer.stream(problem.question, list(made.sides()), 0.0, 0)
                left, right = (a.completion.text.strip() for a in latest)
                if left != right:
                    made = dataclasses.replace(made, texts=(left, right), picked=False)
                    break
                made = dataclasses.replace(made, skipped=made.skipped + 1)
            else:
                raise UserError(
                    f"both models answered {TRIES} problems in a row with the same words; choose "
                    "models that differ more"
                )
            done = sum(made.wins)
            yield _shown(
                made, f"Pick {done + 1}", [to_markdown(t) for t in made.texts], "", ready=True
            )

    def choose(pick: str, test: Any) -> list[Any]:
        with page_messages():
            made = _running(test)
            after = made.pick(one_of(pick, "the pick", PICKS))
            file = keep(library, made, pick)
            gold = made.problem.answer if made.problem else ""
            verdicts = [badge(check(one, gold).reward) for one in made.texts]
            said = (
                f"{reveal_html(after)}<p>Correct answer: <b>{code(gold)}</b>. Answer 1: "
                f"{verdicts[0]} Answer 2: {verdicts[1]}</p>{score_html(after)}"
                f"<p>Kept in <code>{code(file)}</code></p>"
            )
        return _shown(after, f"You picked: {PICKS[pick]}", None, said, ready=False, go_on=True)

    def finish(test: Any) -> list[Any]:
        said = score_html(test) if isinstance(test, Blind) and any(test.wins) else ""
        return [gr.Column(visible=True), gr.Column(visible=False), said, None]

    def _shown(
        made: Blind, state: str, texts: Any, said: str, *, ready: bool, go_on: bool = False
    ) -> list[Any]:
        asked = to_markdown(made.problem.question) if made.problem else ""
        bodies = texts or [gr.skip(), gr.skip()]
        buttons = [gr.Button(interactive=ready) for _ in PICKS]
        return [
            gr.Column(visible=False),
            gr.Column(visible=True),
            f"<p><b>{code(state)}</b></p>",
            asked,
            *bodies,
            *buttons,
            gr.Button(interactive=go_on),
            said,
            made,
        ]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    model: dict[str, Any] = {**private, "concurrency_limit": AT_WORK, "concurrency_id": "model"}
    outputs = [setup, round_box, state, question, *answers, *picks.values(), following, told, test]
    page.load(refresh, None, [first, second, source], **private)
    start.click(begin, [first, second, source, seed], outputs, **model)
    following.click(next_round, test, outputs, **model)
    for key, button in picks.items():
        button.click(_picker(key, choose), test, outputs, **private)
    end.click(finish, test, [setup, round_box, told, test], **private)


def _picker(key: str, choose: Any) -> Any:
    def picked(test: Any) -> list[Any]:
        return choose(key, test)

    return picked


def _running(test: Any) -> Blind:
    if not isinstance(test, Blind):
        raise UserError("start the blind test first")
    return test
