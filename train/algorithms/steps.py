"""The reasoning steps of a completion, each with a reward: its lines, their arithmetic checked."""

import re
from typing import Any

from rewards import check
from sampling import Completion

# "3*4+1 = 13", the last equation of a line; digits, signs, brackets and decimal points only
_EQUATION = re.compile(r"([\d(][\d\s.+\-*/×÷()]{0,80}?)\s*=\s*(-?\d[\d.,]{0,20})(?![\d*/+])")


def step_rewards(completion: Completion, reward: float, tokenizer: Any) -> list[tuple[int, float]]:
    """(index of the last token, reward) of each step of a completion, in order.

    A step is a line. A line with an equation gets 1 if it holds, else 0; one without is no step.
    The last line's reward is the completion's own.
    """
    found = []
    lines = completion.text.split("\n")
    ends = line_ends(completion.token_ids, tokenizer, len(lines))
    for line, end in zip(lines[:-1], ends[:-1], strict=True):
        if equation := _EQUATION.findall(line.replace(",", "")):
            left, right = equation[-1]
            found.append((end, float(check(f"#### {right}", left.strip()).reward)))
    return [*found, (len(completion.token_ids) - 1, reward)]


def line_ends(token_ids: list[int], tokenizer: Any, lines: int) -> list[int]:
    """The index of the token that ends each line."""
    breaks = {token: tokenizer.decode([token]).count("\n") for token in set(token_ids)}
    ends = [index for index, token in enumerate(token_ids) for _ in range(breaks[token])]
    return [*ends, *[len(token_ids) - 1] * lines][:lines]
