"""A rollout: prompts of one step, N completions each, their verdicts, rewards and advantages."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import pandas
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.files import whole_file
from data import Problem
from rewards import Checker, Verdict
from sampling import Completion, Sampler
from train.advantages import Scale, group_advantages, has_signal
from train.config import Sampling


@dataclasses.dataclass
class Rollout:
    """P groups of N completions. `rewards` and `advantages` are `[P, N]`."""

    problems: list[Problem]
    prompts: list[list[int]]
    completions: list[list[Completion]]
    verdicts: list[list[Verdict]]
    rewards: Float[Tensor, "P N"]
    advantages: Float[Tensor, "P N"]
    sample_seconds: float
    reward_seconds: float

    @property
    def signal(self) -> Bool[Tensor, "P"]:
        """Which groups have a gradient."""
        return has_signal(self.rewards)

    @property
    def tokens(self) -> int:
        """How many tokens were sampled."""
        return sum(len(c.token_ids) for group in self.completions for c in group)


def collect(
    problems: Sequence[Problem],
    prompts: Sequence[list[int]],
    sampler: Sampler,
    checker: Checker,
    settings: Sampling,
    *,
    n: int,
    scale: Scale,
    seed: int,
) -> Rollout:
    """Sample N completions to each prompt, check them and compute their advantages."""
    begun = time.perf_counter()
    completions = sampler.sample(
        list(prompts),
        n,
        settings.temperature,
        settings.max_tokens,
        seed,
        top_p=settings.top_p,
        top_k=settings.top_k,
    )
    sampled = time.perf_counter()
    flat = checker.check_many(
        (completion.text, problem.answer)
        for problem, group in zip(problems, completions, strict=True)
        for completion in group
    )
    verdicts = [flat[i : i + n] for i in range(0, len(flat), n)]
    rewards = torch.tensor([[float(v.reward) for v in group] for group in verdicts])
    return Rollout(
        problems=list(problems),
        prompts=list(prompts),
        completions=completions,
        verdicts=verdicts,
        rewards=rewards,
        advantages=group_advantages(rewards, scale),
        sample_seconds=sampled - begun,
        reward_seconds=time.perf_counter() - sampled,
    )


def save_rollout(path: Path, rollout: Rollout) -> None:
    """Keep a rollout as Parquet, one row a completion."""
    rows = [
        {
            "problem": problem.id,
            "question": problem.question,
            "gold": problem.answer,
            "prompt_ids": prompt,
            "completion": completion.text,
            "token_ids": completion.token_ids,
            "logprobs": completion.logprobs,
            "finish_reason": completion.finish_reason,
            "reward": verdict.reward,
            "extracted": verdict.extracted,
            "reason": verdict.reason,
            "advantage": advantage,
        }
        for problem, prompt, completions, verdicts, advantages in zip(
            rollout.problems,
            rollout.prompts,
            rollout.completions,
            rollout.verdicts,
            rollout.advantages.tolist(),
            strict=True,
        )
        for completion, verdict, advantage in zip(completions, verdicts, advantages, strict=True)
    ]
    with whole_file(path) as temporary:
        pandas.DataFrame(rows).to_parquet(temporary, index=False)
