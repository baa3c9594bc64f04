"""The page's functions for programs: named endpoints, described on the page."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app.answers import Answerer
from app.problems import ProblemBook
from app.results import chosen, find_results
from app.runs import find_choices
from app.try_tab import MAX_GOLD, MAX_SAMPLES, choose
from app.words import in_words
from common.errors import UserError
from eval.compare import compare as compare_results
from rewards import check as check_answer

MAX_COMPLETION = 20_000  # characters
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


def api(runs: Path, book: ProblemBook, answerer: Answerer) -> None:
    """Register the endpoints, and say on the page how to call them."""

    def checkpoints() -> list[str]:
        """The labels of every base and checkpoint, those of the newest run first."""
        return list(find_choices(runs))

    def answers(
        question: str,
        checkpoints: list[str],
        gold: str = "",
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Iterator[list[dict[str, Any]]]:
        """Each checkpoint's answer as it grows; the last turn brings the verdicts."""
        with in_words():
            asked = choose(runs, _labels(checkpoints))
            _limit("gold", gold, MAX_GOLD)
            latest = []
            for latest in answerer.stream(question, asked, temperature, seed):
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
        question: str, checkpoints: list[str], gold: str, n: int = 16, seed: int = 0
    ) -> list[dict[str, Any]]:
        """n samples by each checkpoint at temperature 1, with verdicts and the share right."""
        with in_words():
            asked = choose(runs, _labels(checkpoints))
            _limit("gold", gold, MAX_GOLD)
            if not 1 <= n <= MAX_SAMPLES:
                raise UserError(f"n must lie between 1 and {MAX_SAMPLES}")
            *_, groups = answerer.sample(question, asked, n, seed)
            found = []
            for choice, group in zip(asked, groups, strict=True):
                told = [{"text": c.text, **_verdict(c.text, gold)} for c in group]
                rate = sum(t["reward"] for t in told) / n
                found.append({"checkpoint": choice.label, "pass_rate": rate, "samples": told})
            return found

    def check(completion: str, gold: str) -> dict[str, Any]:
        """The verdict on a completion: reward, what was extracted, why."""
        with in_words():
            _limit("completion", completion, MAX_COMPLETION)
            _limit("gold", gold, MAX_GOLD)
            return _verdict(completion, gold)

    def results() -> list[str]:
        """The labels of all evaluation results, those of the newest run first."""
        return [found.label for found in find_results(runs)]

    def compare(a: str, b: str) -> list[str]:
        """The paired difference of two results, in lines."""
        with in_words():
            return list(compare_results(chosen(runs, a), chosen(runs, b)).lines())

    def pick(source: str = "", level: str = "any") -> dict[str, str]:
        """A random problem of a set and level."""
        with in_words():
            problem, _ = book.pick(source, level, 0, 0)
            return {"id": problem.id, "question": problem.question, "gold": problem.answer}

    model: dict[str, Any] = {"concurrency_limit": 4, "concurrency_id": "model"}
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


def _labels(wanted: Any) -> list[str]:
    if not isinstance(wanted, list) or not all(isinstance(w, str) for w in wanted):
        raise UserError("checkpoints must be a list of labels, see /checkpoints")
    if len(wanted) > 4:
        raise UserError("at most four checkpoints at once")
    return wanted


def _limit(name: str, text: str, most: int) -> None:
    if not isinstance(text, str) or len(text) > most:
        raise UserError(f"{name} must be text of at most {most} characters")
