"""A seeded generator of GSM8K-style word problems with worked solutions.

Problems fall into the `train` or the `heldout` split by a hash of their story and numbers, so
the splits share no problem, not even one told with other names, whatever the seeds.
"""

import hashlib
import operator
import random
from collections.abc import Callable

from data.problem import Problem
from data.stories import TEMPLATES, Ref, Step, Story

SPLITS = ("train", "heldout")
HELDOUT_SHARE = 10  # one story in ten is held out

_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}


def synthesize(
    n: int,
    *,
    seed: int,
    split: str = "train",
    levels: tuple[int, ...] = (1, 2, 3, 4),
    slip_rate: float = 0.0,
) -> list[Problem]:
    """Draw `n` problems of `split` ("train" or "heldout"), levels in equal shares.

    With `slip_rate`, that share of the solutions has one wrong result, carried through to a
    wrong final answer, as text from the web does; the gold stays right. A `heldout` set repeats
    no question. Raises ValueError for an unknown split or level.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split '{split}', expected one of {', '.join(SPLITS)}")
    if not levels or not set(levels) <= TEMPLATES.keys():
        raise ValueError(f"levels must be among {', '.join(map(str, TEMPLATES))}")
    draw = random.Random(f"{seed}/{split}")
    problems: list[Problem] = []
    seen: set[str] = set()
    for index in range(n):
        level = levels[index % len(levels)]
        template, story = _story_of_split(draw, level, split, seen)
        slip = draw.randrange(level) if draw.random() < slip_rate else None
        problems.append(
            Problem(
                id=f"synth-{split}-{seed}-{index}",
                question=story.question,
                answer=str(results(story)[-1]),
                solution=solution_text(story, slip=slip, draw=draw),
                source=f"synth/{template}",
                level=str(level),
            )
        )
    return problems


def results(
    story: Story, *, slip: int | None = None, draw: random.Random | None = None
) -> list[int]:
    """The result of each step; the result of step `slip`, if given, is off by a small amount."""
    values: list[int] = []
    for index, step in enumerate(story.steps):
        value = _OPERATORS[step.operator](_value(step.left, values), _value(step.right, values))
        if index == slip and draw is not None:
            value += draw.choice([d for d in (-10, -2, -1, 1, 2, 10) if value + d >= 0])
        values.append(value)
    return values


def solution_text(
    story: Story, *, slip: int | None = None, draw: random.Random | None = None
) -> str:
    """The worked solution: a sentence a step, then `#### answer`."""
    values = results(story, slip=slip, draw=draw)
    lines = [
        step.sentence.format(_equation(step, values, result))
        for step, result in zip(story.steps, values, strict=True)
    ]
    return "\n".join([*lines, f"#### {values[-1]}"])


def _value(operand: int | Ref, values: list[int]) -> int:
    return values[operand.step] if isinstance(operand, Ref) else operand


def _equation(step: Step, values: list[int], result: int) -> str:
    left, right = _value(step.left, values), _value(step.right, values)
    return f"{left}{step.operator}{right}={result}"


def _story_of_split(
    draw: random.Random, level: int, split: str, seen: set[str]
) -> tuple[str, Story]:
    """Draw stories of `level` until one belongs to `split` and, if held out, is new."""
    while True:
        template = draw.choice(TEMPLATES[level])
        story = template(draw)
        if split_of(template.__name__, story) != split:
            continue
        if split == "heldout":
            if story.question in seen:
                continue
            seen.add(story.question)
        return template.__name__, story


def split_of(template: str, story: Story) -> str:
    """The split a story belongs to, by its template and numbers alone."""
    numbers = [
        (step.operator, *(x for x in (step.left, step.right) if isinstance(x, int)))
        for step in story.steps
    ]
    digest = hashlib.sha256(f"{template}{numbers}".encode()).digest()
    return "heldout" if digest[0] % HELDOUT_SHARE == 0 else "train"
