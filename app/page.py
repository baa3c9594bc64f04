"""The page: two checkpoints answer the same problem side by side."""

import functools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app.answers import Answerer
from app.runs import Choice, find_runs
from app.text import DELIMITERS, badge, to_markdown
from common.errors import UserError
from data import Problem, load_problems
from rewards import check

QUEUE_LIMIT = 32
THEME = gr.themes.Base(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)  # fonts of the machine: nothing is fetched
CSS = """
.badge {padding: .1em .6em; border-radius: 1em; font-weight: 600; color: white}
.badge.right {background: #15803d} .badge.wrong {background: #b91c1c}
.badge.none {background: #64748b}
.why {opacity: .85} .answer {min-height: 8em}
"""
NO_RUNS = """### No runs here yet

Make one with `make demo`, or train with `python -m train CONFIG.toml`, then reload this page.
Runs are looked for in `{runs}`."""


def build_page(runs: Path, data: str) -> gr.Blocks:
    """The page over the runs in a folder; `data` is the problem set of the dice button."""
    answerer = Answerer()
    problems = functools.cache(lambda: load_problems(data, limit=2000))
    with gr.Blocks(title="mathgrpo", analytics_enabled=False) as page:
        gr.Markdown("# mathgrpo\nTwo checkpoints, one problem: what did training change?")
        empty = gr.Markdown(visible=False)
        with gr.Row():
            left = gr.Dropdown(label="Left", interactive=True)
            right = gr.Dropdown(label="Right", interactive=True)
        question = gr.Textbox(label="Problem", lines=3, max_length=4000, elem_id="question")
        gold = gr.Textbox(label="Reference answer (optional)", max_length=500, elem_id="gold")
        with gr.Row():
            dice = gr.Button("Pick a problem", elem_id="dice")
            ask = gr.Button("Answer", variant="primary", elem_id="ask")
            stop = gr.Button("Stop", elem_id="stop")
        with gr.Accordion("Sampling", open=False), gr.Row():
            temperature = gr.Slider(0, 2, value=0, step=0.1, label="Temperature (0: greedy)")
            seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed")
        with gr.Row():
            columns = []
            for side in ("left", "right"):
                with gr.Column():
                    verdict = gr.HTML(elem_id=f"{side}-verdict")
                    answer = gr.Markdown(
                        elem_id=f"{side}-answer",
                        elem_classes="answer",
                        latex_delimiters=DELIMITERS,
                        container=True,
                    )
                    columns += [verdict, answer]

        def choices() -> dict[str, Choice]:
            return {c.label: c for run in find_runs(runs) for c in run.choices}

        def refresh() -> list[Any]:
            labels = list(choices())
            found = find_runs(runs)
            first = found[0].choices if found else ()
            return [
                gr.Dropdown(choices=labels, value=first[0].label if first else None),
                gr.Dropdown(choices=labels, value=first[-1].label if first else None),
                gr.Markdown(NO_RUNS.format(runs=runs), visible=not labels),
            ]

        def pick() -> tuple[str, str]:
            problem: Problem = random.choice(_in_words(problems))
            return problem.question, problem.answer

        def answers(
            question: str, gold: str, left: str, right: str, temperature: float, seed: float
        ) -> Iterator[list[str]]:
            known = choices()
            if left not in known or right not in known:
                raise gr.Error("choose two checkpoints first", print_exception=False)
            try:
                pair = [known[left], known[right]]
                latest = None
                for latest in answerer.stream(question, pair, temperature, int(seed)):
                    yield [x for c in latest for x in ("", to_markdown(c.text))]
                if latest:
                    yield [x for c in latest for x in (_verdict(c.text, gold), to_markdown(c.text))]
            except UserError as error:
                raise gr.Error(str(error), print_exception=False) from error

        page.load(refresh, None, [left, right, empty], api_visibility="private")
        dice.click(pick, None, [question, gold], api_name="pick")
        inputs = [question, gold, left, right, temperature, seed]
        going = gr.on(
            [ask.click, question.submit],
            answers,
            inputs,
            columns,
            api_name="answers",
            concurrency_limit=1,
            show_progress="minimal",
        )
        stop.click(None, None, None, cancels=[going], api_visibility="private")
    return page.queue(max_size=QUEUE_LIMIT)


def _in_words(load: Any) -> Any:
    try:
        return load()
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _verdict(text: str, gold: str) -> str:
    if not gold.strip():
        return badge(None, None, "")
    verdict = check(text, gold)
    return badge(verdict.reward, verdict.extracted, verdict.reason)
