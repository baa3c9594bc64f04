"""The reasoning steps of a completion, each with a reward: its lines, their arithmetic checked."""

import re
from typing import Any

import torch
from torch import Tensor

from rewards import check
from sampling import Completion

EPSILON = 1e-4  # beside a standard deviation

Steps = list[tuple[int, float]]  # (index of the step's last token, reward)

# "3*4+1 = 13", the last equation of a line; digits, signs, brackets and decimal points only
_EQUATION = re.compile(r"([\d(][\d\s.+\-*/×÷()]{0,80}?)\s*=\s*(-?\d[\d.,]{0,20})(?![\d*/+])")


def step_rewards(completion: Completion, reward: float, tokenizer: Any) -> Steps:
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


def steps_differ(members: list[Steps]) -> bool:
    """Whether the steps of a group have different rewards, and so something to teach."""
    return len({reward for steps in members for _, reward in steps}) > 1


def process_advantages(members: list[Steps], length: int) -> Tensor:
    """Advantages `[N, T]` of a group from its step rewards.

    `members[i]` holds the steps of completion i. Source: DeepSeekMath (arXiv 2402.03300), section
    4.1.3.
    """
    advantages = torch.zeros(len(members), length)
    if not steps_differ(members):
        return advantages
    rewards = torch.tensor([reward for steps in members for _, reward in steps])
    for i, steps in enumerate(members):
        for end, reward in steps:
            advantages[i, : end + 1] += (reward - rewards.mean()) / (rewards.std() + EPSILON)
    return advantages
