"""Verdicts on completions: the checker's, or those of the task that a problem comes from."""

import atexit
import functools
import re
import time
from collections.abc import Sequence

from common.errors import UserError
from data import Problem
from data.tasks import PREFIX, score_answer
from rewards import Checker, Verdict
from rewards.extract import extract
from rewards.workers.functions import FunctionRunner

Answered = tuple[Problem, str, bool]  # a problem, a completion, and whether that was cut off

SECONDS = 10.0  # that a task may take to score the answers to one question
_TEXT = re.compile(r"\\(?:text|mathrm|textbf)\{([^{}]*)\}")


def judge(checker: Checker, answered: Sequence[Answered]) -> list[Verdict]:
    """One verdict for each completion, in order.

    A problem of a task is right where the task scores the marked answer 1; all others are the
    checker's. What a task's own code does wrong is a reason for 0, never an error.
    """
    plain = checker.check_many(
        (text, problem.answer, cut) for problem, text, cut in answered if problem.task is None
    )
    rest = iter(plain)
    asked: dict[tuple[str, int], list[int]] = {}
    for place, (problem, _, _) in enumerate(answered):
        if problem.task is not None:
            asked.setdefault(problem.task, []).append(place)
    found: dict[int, Verdict] = {}
    for places in asked.values():
        found |= zip(places, _of_task([answered[i] for i in places]), strict=True)
    return [found[i] if i in found else next(rest) for i in range(len(answered))]


def score_group(completions: list[str], problem: Problem) -> list[float]:
    """The task's score of each answer; runs in a process of its own, with a time limit."""
    assert problem.task is not None
    return [score_answer(answer, problem.task) for answer in completions]


def _of_task(answered: Sequence[Answered]) -> list[Verdict]:
    """The verdicts on completions to one problem of a task."""
    begun, problem = time.perf_counter(), answered[0][0]
    assert problem.task is not None
    marked = [extract(text, strict=True, truncated=cut) for _, text, cut in answered]
    answers = [_TEXT.sub(r"\1", found.text).strip() if found.text else None for found in marked]
    told = [answer for answer in answers if answer]
    complaint, given = "", list[float]()
    try:
        given = _runner().score(told, problem, [{}] * len(told)) if told else []
    except UserError as error:
        complaint = str(error)
    seconds = (time.perf_counter() - begun) / len(answered)
    name = problem.task[0].partition(",")[0].removeprefix(PREFIX)
    verdicts, scores = list[Verdict](), iter(given)
    for found, answer in zip(marked, answers, strict=True):
        if not answer:
            verdict = Verdict(0, None, f"{found.rule}: no marked answer", seconds, None, found.rule)
        elif complaint:
            verdict = Verdict(0, answer, f"{found.rule}: {complaint}", seconds, None, found.rule)
        else:
            score = next(scores)
            reason = f"{found.rule}: {name} of reasoning_gym scores it {score:g}"
            verdict = Verdict(int(score >= 1.0), answer, reason, seconds, None, found.rule)
        verdicts.append(verdict)
    return verdicts


@functools.cache
def _runner() -> FunctionRunner:
    """The process that scores answers, kept for the next ones."""
    runner = FunctionRunner("eval.judge:score_group", SECONDS)
    atexit.register(runner.close)
    return runner
