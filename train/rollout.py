"""A rollout: prompts of one step, N completions each, with verdicts and rewards."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.shapes import P_N, P
from data import Problem
from rewards import Verdict, is_echo
from sampling import Completion
from train.advantages import has_mixed_rewards
from train.records.metrics import Metrics


@dataclasses.dataclass
class Rollout:
    """P groups of N completions. `rewards` are the checker's, 0 or 1.

    `outcome` is what decides whether a group has a signal, by default `rewards`; penalties never.
    """

    step: int
    seed: int  # of everything random in the step
    problems: list[Problem]
    sources: list[str]  # which of the run's sources each problem is from
    prompts: list[list[int]]
    completions: list[list[Completion]]
    verdicts: list[list[Verdict]]
    rewards: Float[Tensor, P_N]
    shaped: Float[Tensor, P_N]  # all rewards and penalties, from which the advantages are made
    sample_seconds: float
    reward_seconds: float
    policy_step: int = 0  # the step whose update made the adapter that sampled it; 0: the start
    draws: "Sequence[Rollout]" = ()  # what it was chosen from; empty: itself
    outcome: Float[Tensor, P_N] | None = None
    by_function: dict[str, Float[Tensor, P_N]] = dataclasses.field(default_factory=dict)
    waits: dict[str, float] = dataclasses.field(default_factory=dict)  # of sampler and trainer

    @property
    def signal(self) -> Float[Tensor, P_N]:
        """What tells right from wrong: `outcome`, or the checker's rewards."""
        return self.rewards if self.outcome is None else self.outcome

    @property
    def mixed(self) -> Bool[Tensor, P]:
        """Which groups tell right from wrong."""
        return has_mixed_rewards(self.signal)

    @property
    def tokens(self) -> int:
        """How many tokens its completions have."""
        return sum(len(c.token_ids) for group in self.completions for c in group)

    def metrics(self) -> Metrics:
        """What the step's sampling alone tells, all of its draws together."""
        draws = self.draws or [self]
        completions = [c for r in draws for group in r.completions for c in group]
        verdicts = [v for r in draws for group in r.verdicts for v in group]
        rewards = torch.cat([r.rewards for r in draws])
        means = rewards.mean(1)
        right = [v for v in verdicts if v.reward]
        return {
            "step": self.step,
            "reward/mean": float(rewards.mean()),
            **_means_by_source(draws),
            **_means_by_function(draws),
            "reward/std": float(rewards.std()),
            "reward/unmarked": sum(v.rule == "unmarked" for v in right) / max(1, len(right)),
            "reward/echo": _echoes(draws) / len(completions),
            "groups/all_right": float((means == 1).float().mean()),
            "groups/all_wrong": float((means == 0).float().mean()),
            "groups/drawn": len(means),
            "completion/mean_tokens": sum(r.tokens for r in draws) / len(completions),
            "completion/truncated": sum(c.finish_reason == "length" for c in completions)
            / len(completions),
            "time/sample_s": sum(r.sample_seconds for r in draws),
            "time/reward_s": sum(r.reward_seconds for r in draws),
            "staleness": self.step - 1 - self.policy_step,
            **self.waits,
        }


def _echoes(draws: Sequence[Rollout]) -> int:
    """How many answers only repeat a formula of their question."""
    return sum(
        bool(verdict.extracted) and is_echo(verdict.extracted, problem.question)
        for draw in draws
        for problem, group in zip(draw.problems, draw.verdicts, strict=True)
        for verdict in group
    )


def _means_by_source(draws: Sequence[Rollout]) -> Metrics:
    """The mean reward of each source, where there are several."""
    found: dict[str, list[float]] = {}
    for draw in draws:
        for source, rewards in zip(draw.sources, draw.rewards.mean(1).tolist(), strict=True):
            found.setdefault(source, []).append(rewards)
    if len(found) < 2:
        return {}
    return {f"reward/mean/{name}": sum(x) / len(x) for name, x in sorted(found.items())}


def _means_by_function(draws: Sequence[Rollout]) -> Metrics:
    """The mean of each reward function, where there are others than correctness."""
    names = [name for name in draws[0].by_function if name != "correct"]
    return {
        f"reward/{name}": float(torch.cat([r.by_function[name] for r in draws]).mean())
        for name in names
    }


def join(draws: Sequence[Rollout], prompts: int) -> Rollout:
    """The draws of one step as one rollout: groups with mixed rewards first, `prompts` in all.

    Which groups fill up the batch where mixed ones are short does not matter.
    """
    if len(draws) == 1:
        return draws[0]
    order = [(r, g) for r in draws for g in range(len(r.problems)) if bool(r.mixed[g])]
    order += [(r, g) for r in draws for g in range(len(r.problems)) if not bool(r.mixed[g])]
    kept = order[:prompts]
    return Rollout(
        step=draws[0].step,
        seed=draws[0].seed,
        problems=[r.problems[g] for r, g in kept],
        sources=[r.sources[g] for r, g in kept],
        prompts=[r.prompts[g] for r, g in kept],
        completions=[r.completions[g] for r, g in kept],
        verdicts=[r.verdicts[g] for r, g in kept],
        rewards=torch.stack([r.rewards[g] for r, g in kept]),
        shaped=torch.stack([r.shaped[g] for r, g in kept]),
        outcome=torch.stack([r.signal[g] for r, g in kept]),
        by_function={
            name: torch.stack([r.by_function[name][g] for r, g in kept])
            for name in draws[0].by_function
        },
        sample_seconds=sum(r.sample_seconds for r in draws),
        reward_seconds=sum(r.reward_seconds for r in draws),
        policy_step=draws[0].policy_step,
        draws=list(draws),
    )


def rollout_state(rollout: Rollout) -> dict[str, Any]:
    """A rollout as plain values and tensors, for a checkpoint."""
    return {
        **dataclasses.asdict(dataclasses.replace(rollout, draws=())),
        "draws": [rollout_state(draw) for draw in rollout.draws],
    }


def rollout_from_state(state: dict[str, Any]) -> Rollout:
    """The rollout that `rollout_state` wrote down."""
    return Rollout(
        **{
            **state,
            "problems": [Problem(**fields) for fields in state["problems"]],
            "completions": [[Completion(**c) for c in group] for group in state["completions"]],
            "verdicts": [[Verdict(**v) for v in group] for group in state["verdicts"]],
            "draws": [rollout_from_state(draw) for draw in state["draws"]],
        }
    )
