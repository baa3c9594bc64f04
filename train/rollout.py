"""A rollout: prompts of one step, N completions each, their verdicts, rewards and advantages."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas
import torch
from jaxtyping import Bool, Float
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from common.files import whole_file
from data import Problem
from rewards import Checker, Verdict
from rewards.extra import length_penalty
from sampling import Completion, Sampler
from train.advantages import group_advantages, has_signal
from train.metrics import Metrics
from train.sections import Grpo, Sampling


@dataclasses.dataclass
class Rollout:
    """P groups of N completions. `rewards` are the checker's, 0 or 1."""

    problems: list[Problem]
    prompts: list[list[int]]
    completions: list[list[Completion]]
    verdicts: list[list[Verdict]]
    rewards: Float[Tensor, "P N"]
    shaped: Float[Tensor, "P N"]  # the rewards with penalties, from which the advantages are made
    advantages: Float[Tensor, "P N"]
    sample_seconds: float
    reward_seconds: float

    @property
    def signal(self) -> Bool[Tensor, "P"]:
        """Which groups have a gradient."""
        return has_signal(self.shaped)

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
    grpo: Grpo,
    *,
    seed: int,
) -> Rollout:
    """Sample N completions to each prompt, check them and compute their advantages."""
    n = grpo.completions
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
    shaped = rewards
    if grpo.overlong_free is not None:
        shaped = rewards + overlong_penalties(completions, grpo.overlong_free, settings.max_tokens)
    return Rollout(
        problems=list(problems),
        prompts=list(prompts),
        completions=completions,
        verdicts=verdicts,
        rewards=rewards,
        shaped=shaped,
        advantages=group_advantages(shaped, grpo.scale, grpo.baseline),
        sample_seconds=sampled - begun,
        reward_seconds=time.perf_counter() - sampled,
    )


def overlong_penalties(
    completions: list[list[Completion]], free: int, limit: int
) -> Float[Tensor, "P N"]:
    """The soft penalty of each completion's length; see `rewards.extra.length_penalty`."""
    return torch.tensor(
        [[length_penalty(len(c.token_ids), free=free, limit=limit) for c in g] for g in completions]
    )


def joined(rollouts: Sequence[Rollout], grpo: Grpo) -> Rollout:
    """The draws of one step as one rollout: groups with signal first, P groups in all.

    Which groups fill up the batch where signal is short does not matter: they have none. Counts of
    groups all right and all wrong come from every draw, see `rollout_metrics`.
    """
    order = [(r, g) for r in rollouts for g in range(len(r.problems)) if bool(r.signal[g])]
    order += [(r, g) for r in rollouts for g in range(len(r.problems)) if not bool(r.signal[g])]
    kept = order[: grpo.prompts]
    shaped = torch.stack([r.shaped[g] for r, g in kept])
    return Rollout(
        problems=[r.problems[g] for r, g in kept],
        prompts=[r.prompts[g] for r, g in kept],
        completions=[r.completions[g] for r, g in kept],
        verdicts=[r.verdicts[g] for r, g in kept],
        rewards=torch.stack([r.rewards[g] for r, g in kept]),
        shaped=shaped,
        advantages=group_advantages(shaped, grpo.scale, grpo.baseline),
        sample_seconds=sum(r.sample_seconds for r in rollouts),
        reward_seconds=sum(r.reward_seconds for r in rollouts),
    )


def rollout_metrics(draws: Sequence[Rollout]) -> Metrics:
    """What the rollouts of a step alone tell, all of its draws together."""
    completions = [c for r in draws for group in r.completions for c in group]
    verdicts = [v for r in draws for group in r.verdicts for v in group]
    rewards = torch.cat([r.rewards for r in draws])
    means = rewards.mean(1)
    right = [v for v in verdicts if v.reward]
    tokens = sum(r.tokens for r in draws)
    return {
        "reward/mean": float(rewards.mean()),
        "reward/std": float(rewards.std()),
        "reward/unmarked": sum(v.reason.startswith("last") for v in right) / max(1, len(right)),
        "groups/all_right": float((means == 1).float().mean()),
        "groups/all_wrong": float((means == 0).float().mean()),
        "groups/drawn": len(means),
        "completion/mean_tokens": tokens / len(completions),
        "completion/truncated": sum(c.finish_reason == "length" for c in completions)
        / len(completions),
        "time/sample_s": sum(r.sample_seconds for r in draws),
        "time/reward_s": sum(r.reward_seconds for r in draws),
    }


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


def show_completions(step: int, rollout: Rollout, count: int) -> None:
    """Print some completions with their verdicts, from the first groups with a signal."""
    table = Table(title=f"step {step}", show_lines=True)
    for heading in ("problem", "completion", "answer", "gold", "reward", "why"):
        table.add_column(heading, overflow="fold")
    order = sorted(range(len(rollout.problems)), key=lambda g: not bool(rollout.signal[g]))
    rows = [(g, i) for g in order for i in range(len(rollout.completions[g]))][:count]
    for g, i in rows:
        problem, verdict = rollout.problems[g], rollout.verdicts[g][i]
        texts = (
            problem.question,
            rollout.completions[g][i].text.strip(),
            verdict.extracted or "",
            problem.answer,
        )
        table.add_row(*map(escape, texts), str(verdict.reward), escape(verdict.reason))
    Console(file=sys.stderr).print(table)
