"""Try it: checkpoints answer one problem side by side, streamed, each with its verdict."""

import functools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app.answers import Answerer
from app.runs import Choice, find_runs
from app.text import DELIMITERS, badge, parting, to_markdown, votes
from app.words import in_words
from common.errors import UserError
from data import Problem, load_problems
from eval.votes import classes
from rewards import check
from sampling import Completion

SIDES = ("left", "right", "third", "fourth")
MAX_SAMPLES = 64
NO_RUNS = """### No runs here yet

Make one with `make demo`, or train with `python -m train CONFIG.toml`, then reload this page.
Runs are looked for in `{runs}`."""
# A view can be shared: what is asked goes into the address, and comes back from it.
TO_ADDRESS = """(question, gold, left, right, third, fourth, temperature, seed) => {
  const view = {question, gold, left, right, third, fourth, temperature, seed};
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(view)) if (value) query.set(key, value);
  window.history.replaceState(null, '', '?' + query);
}"""


def try_tab(page: gr.Blocks, runs: Path, data: str) -> None:
    """The fields, buttons and columns, and what they do."""
    answerer = Answerer()
    problems = functools.cache(lambda: load_problems(data, limit=2000))
    empty = gr.Markdown(visible=False)
    with gr.Row():
        boxes = [gr.Dropdown(label=side.title(), interactive=True) for side in SIDES[:2]]
    with gr.Accordion("More checkpoints", open=False), gr.Row():
        boxes += [gr.Dropdown(label=side.title(), interactive=True) for side in SIDES[2:]]
    question = gr.Textbox(label="Problem", lines=3, max_length=4000, elem_id="question")
    gold = gr.Textbox(label="Reference answer (optional)", max_length=500, elem_id="gold")
    with gr.Row():
        dice = gr.Button("Pick a problem", elem_id="dice")
        ask = gr.Button("Answer", variant="primary", elem_id="ask")
        many = gr.Button("Sample", elem_id="many")
        stop = gr.Button("Stop", elem_id="stop")
    with gr.Accordion("Sampling", open=False), gr.Row():
        temperature = gr.Slider(0, 2, value=0, step=0.1, label="Temperature (0: greedy)")
        seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed")
        count = gr.Slider(2, MAX_SAMPLES, value=16, step=1, label="Samples")
    part = gr.HTML(elem_id="part", elem_classes="part")
    columns: list[Any] = []
    with gr.Row():
        for side in SIDES:
            with gr.Column(visible=side in SIDES[:2]) as column:
                verdict = gr.HTML(elem_id=f"{side}-verdict")
                answer = gr.Markdown(
                    elem_id=f"{side}-answer",
                    elem_classes="answer",
                    latex_delimiters=DELIMITERS,
                    container=True,
                )
            columns += [column, verdict, answer]

    def choices() -> dict[str, Choice]:
        return {c.label: c for run in find_runs(runs) for c in run.choices}

    def refresh(request: gr.Request) -> list[Any]:
        view = dict(request.query_params)
        found = find_runs(runs)
        labels = [c.label for run in found for c in run.choices]
        mine = found[0].choices if found else ()
        usual = [mine[0].label, mine[-1].label, None, None] if mine else [None] * 4
        values = [view[s] if view.get(s) in labels else usual[i] for i, s in enumerate(SIDES)]
        return [
            *(gr.Dropdown(choices=labels, value=value) for value in values),
            view.get("question", "")[:4000],
            view.get("gold", "")[:500],
            _number(view.get("temperature"), 0.0, 2.0),
            int(_number(view.get("seed"), 0, 2**31 - 1)),
            gr.Markdown(NO_RUNS.format(runs=runs), visible=not labels),
        ]

    def pick() -> tuple[str, str]:
        with in_words():
            problem: Problem = random.choice(problems())
        return problem.question, problem.answer

    def chosen(labels: tuple[str | None, ...]) -> list[Choice]:
        known = choices()
        wanted = [label for label in labels if label]
        if len(wanted) < 1 or any(label not in known for label in wanted):
            raise UserError("choose two checkpoints first")
        return [known[label] for label in wanted]

    def layout(cells: list[tuple[str, str]]) -> list[Any]:
        """What the columns show: (verdict, answer) of each checkpoint, the rest hidden."""
        shown: list[Any] = []
        for i in range(len(SIDES)):
            verdict, answer = cells[i] if i < len(cells) else ("", "")
            shown += [gr.Column(visible=i < max(2, len(cells))), verdict, answer]
        return shown

    def answers(question: str, gold: str, *rest: Any) -> Iterator[list[Any]]:
        *labels, temperature, seed = rest
        with in_words():
            asked = chosen(tuple(labels))
            latest: list[Completion] = []
            for latest in answerer.stream(question, asked, temperature, int(seed)):
                yield ["", *layout([("", to_markdown(c.text)) for c in latest])]
            if latest:
                cells = [(_verdict(c.text, gold), to_markdown(c.text)) for c in latest]
                yield [parting(latest, answerer.tokenizers(asked)), *layout(cells)]

    def samples(question: str, gold: str, *rest: Any) -> list[Any]:
        *labels, _, seed, count = rest
        with in_words():
            asked = chosen(tuple(labels))
            groups = answerer.sample(question, asked, min(int(count), MAX_SAMPLES), int(seed))
        cells = []
        for group in groups:
            verdicts = [check(c.text, gold) for c in group]
            found = [v.extracted for v in verdicts]
            rewards = [v.reward for v in verdicts] if gold.strip() else None
            cells.append((votes(found, classes(found), rewards), to_markdown(group[0].text)))
        return ["", *layout(cells)]

    inputs = [question, gold, *boxes, temperature, seed]
    outputs = [part, *columns]
    page.load(
        refresh, None, [*boxes, question, gold, temperature, seed, empty], api_visibility="private"
    )
    dice.click(pick, None, [question, gold], api_name="pick")
    shared: dict[str, Any] = {
        "concurrency_limit": 1,
        "concurrency_id": "model",
        "show_progress": "minimal",
    }
    going = [
        gr.on([ask.click, question.submit], answers, inputs, outputs, api_name="answers", **shared),
        many.click(samples, [*inputs, count], outputs, api_name="samples", **shared),
    ]
    gr.on([ask.click, question.submit, many.click], None, inputs, None, js=TO_ADDRESS)
    stop.click(None, None, None, cancels=going, api_visibility="private")


def _number(text: str | None, low: float, high: float) -> float:
    """A number from the address, within bounds; the lower bound for anything else."""
    try:
        return min(max(float(text or low), low), high)
    except ValueError:
        return low


def _verdict(text: str, gold: str) -> str:
    if not gold.strip():
        return badge(None, None, "")
    verdict = check(text, gold)
    return badge(verdict.reward, verdict.extracted, verdict.reason)
