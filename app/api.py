"""The page's functions for programs: named endpoints, described on the page."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.answers import AT_WORK, Answerer
from app.ask_tab import MAX_SAMPLES
from app.messages import api_messages
from app.problems import ProblemBook
from app.results import find, find_results, load
from app.runs import Library
from app.values import (
    MAX_COMPLETION,
    MAX_GOLD,
    MAX_LABEL,
    MAX_QUESTION,
    MAX_SEED,
    labels,
    number,
    text,
    whole,
)
from common.errors import UserError
from eval.compare import compare as compare_results
from rewards import check as check_answer

HOW = """`pip install gradio_client`, then

    from gradio_client import Client
    client = Client(ADDRESS)                    # auth=("USER", "PASSWORD") where the page asks
    client.predict(api_name="/checkpoints")     # what can be asked, the newest run first
    client.submit("Tom has 3 apples …", ["RUN: base", "RUN: step 10"], "3", 0.0, 0,
                  api_name="/answers")          # streams; temperature 0 is greedy; then the seed
    client.predict("Tom has 3 apples …", ["RUN: base"], "3", 16, 0, api_name="/samples")
    client.predict("so \\\\boxed{0.5}", "1/2", api_name="/check")
    client.predict(api_name="/results")         # evaluation results
    client.predict("RESULT A", "RESULT B", api_name="/compare")
    client.predict("", "any", api_name="/pick") # a random problem: set (empty: the app's), level"""


def api(library: Library, book: ProblemBook, answerer: Answerer) -> None:
    """Register the endpoints, and say on the page how to call them."""

    def checkpoints() -> list[str]:
        """The labels of every base and checkpoint, those of the newest run first."""
        return list(library.choices())

    def answers(
        question: str,
        checkpoints: list[str],
        gold: str = "",
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[list[dict[str, Any]]]:
        """Each checkpoint's answer as it grows; the last turn brings the verdicts."""
        with api_messages():
            asked = library.choose(labels(checkpoints, "checkpoints"))
            question = text(question, "question", MAX_QUESTION)
            gold = text(gold, "gold", MAX_GOLD)
            heat = number(temperature, "temperature", 0, 2)
            latest = []
            stream = answerer.stream(question, asked, heat, whole(seed, "seed", 0, MAX_SEED))
            for latest in stream:
                yield [{"checkpoint": a.choice.label, "text": a.completion.text} for a in latest]
            yield [
                {
                    "checkpoint": a.choice.label,
                    "text": a.completion.text,
                    **(_verdict(a.completion.text, gold) if gold.strip() else {}),
                }
                for a in latest
            ]

    def samples(
        question: str, checkpoints: list[str], gold: str = "", n: int = 16, seed: int = 0
    ) -> list[dict[str, Any]]:
        """n samples by each checkpoint at temperature 1; with a gold, verdicts and a pass rate."""
        with api_messages():
            asked = library.choose(labels(checkpoints, "checkpoints"))
            question = text(question, "question", MAX_QUESTION)
            gold = text(gold, "gold", MAX_GOLD).strip()
            n = whole(n, "n", 1, MAX_SAMPLES)
            seed = whole(seed, "seed", 0, MAX_SEED)
            *_, (_, groups) = answerer.sample(question, asked, n, seed)
            found = []
            for choice, group in zip(asked, groups, strict=True):
                told = [
                    {"text": c.text, **(_verdict(c.text, gold) if gold else {"reward": None})}
                    for c in group
                ]
                rate = sum(t["reward"] for t in told) / n if gold else None
                found.append({"checkpoint": choice.label, "pass_rate": rate, "samples": told})
            return found

    def check(completion: str, gold: str) -> dict[str, Any]:
        """The verdict on a completion: reward, what was extracted, why."""
        with api_messages():
            completion = text(completion, "completion", MAX_COMPLETION)
            gold = text(gold, "gold", MAX_GOLD)
            if not gold.strip():
                raise UserError("gold must not be empty")
            return _verdict(completion, gold)

    def results() -> list[str]:
        """The labels of all evaluation results, those of the newest run first."""
        return [found.label for found in find_results(library)]

    def compare(a: str, b: str) -> list[str]:
        """The paired difference of two results, in lines."""
        with api_messages():
            pair = [load(find(library, text(x, "result", MAX_LABEL))) for x in (a, b)]
            return list(compare_results(*pair).lines())

    def pick(source: str = "", level: str = "any") -> dict[str, str]:
        """A random problem of a set and level."""
        with api_messages():
            names = text(source, "source", MAX_LABEL), text(level, "level", MAX_LABEL)
            problem, _ = book.pick(*names, 0, 0)
            return {"id": problem.id, "question": problem.question, "gold": problem.answer}

    model: dict[str, Any] = {"concurrency_limit": AT_WORK, "concurrency_id": "model"}
    gr.api(checkpoints, api_name="checkpoints")
    gr.api(answers, api_name="answers", **model)
    gr.api(samples, api_name="samples", **model)
    gr.api(check, api_name="check")
    gr.api(results, api_name="results")
    gr.api(compare, api_name="compare")
    gr.api(pick, api_name="pick")
    with gr.Accordion("Use it from a program", open=False):
        gr.Markdown(HOW, elem_id="api-how")


def _verdict(text: str, gold: str) -> dict[str, Any]:
    return dataclasses.asdict(check_answer(text, gold))
