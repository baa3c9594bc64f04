"""What every algorithm offers the trainer: a rollout in, a better policy out.

An algorithm is an objective. The trainer samples, checks, packs completions into pieces, and adds
up gradients; the algorithm says what to freeze before the update and what each piece's loss is.
"""

import abc
import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sampling.packed import PackedGroups
from train.config import TrainConfig
from train.losses import LossOutput, Normalizer
from train.metrics import Metrics
from train.policy import Policy
from train.rollout import Rollout

# Settings in [grpo] that shape the rollout, whatever the algorithm.
ROLLOUT = frozenset(
    "prompts completions strict mask_truncated overlong_free dynamic_sampling max_draws curriculum "
    "epochs minibatches".split()
)

Unit = list[tuple[int, int]]  # completions, each as (group, member)


@dataclasses.dataclass
class Piece:
    """Some completions of one minibatch, packed for one pass; `rows` are their (group, member)."""

    layout: PackedGroups
    rows: list[tuple[int, int]]
    advantages: Float[Tensor, "B"] | Float[Tensor, "B T"]
    sampler_logprobs: Float[Tensor, "B T"]
    mask: Tensor  # [B, T]
    old_logprobs: Float[Tensor, "B T"] | None = None
    ref_logprobs: Float[Tensor, "B T"] | None = None
    frozen: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # what else must not move


@dataclasses.dataclass
class Minibatch:
    """What one optimiser step learns from."""

    pieces: list[Piece]
    whole: Normalizer


@dataclasses.dataclass(frozen=True)
class Forward:
    """The policy's pass over a piece, with gradient."""

    logprobs: Float[Tensor, "B T"]
    entropy: Float[Tensor, "B T"]
    states: Float[Tensor, "K d"]  # hidden states that predict the K tokens inside the mask


class Algorithm(abc.ABC):
    """One way to learn from rollouts."""

    reads: frozenset[str] = frozenset()  # settings in [grpo] it reads beside ROLLOUT
    section: str | None = None  # its own section of the configuration
    only_signal = True  # groups whose rewards are all equal teach it nothing

    def __init__(self, config: TrainConfig, policy: Policy, tokenizer: Any):
        self.config, self.policy, self.tokenizer = config, policy, tokenizer

    @property
    def once(self) -> bool:
        """Whether each rollout is used for one optimiser step only."""
        return self.config.grpo.epochs * self.config.grpo.minibatches == 1

    @property
    def entropy_gradient(self) -> bool:
        """Whether the loss needs the gradient of the entropy."""
        return False

    def parameters(self) -> list[torch.nn.Parameter]:
        """All that is trained."""
        return self.policy.parameters

    def prepare(self, batches: list[Minibatch], rollout: Rollout) -> None:  # noqa: B027
        """Freeze what must not move during the update; without gradient."""

    def choose(self, rollout: Rollout, groups: list[int], seed: int) -> list[Unit]:
        """What of some groups to learn from, in units that must stay in one piece."""
        signal, masked = rollout.signal.tolist(), self.config.grpo.mask_truncated
        return [
            [(g, i)]
            for g in groups
            for i, completion in enumerate(rollout.completions[g])
            if (signal[g] or not self.only_signal)
            and not (masked and completion.finish_reason == "length")
        ]

    def whole(self, rollout: Rollout, groups: list[int], units: list[Unit]) -> Normalizer:
        """What the minibatch's averages run over: groups without signal count as well."""
        masked = self.config.grpo.mask_truncated
        every = [completion for g in groups for completion in rollout.completions[g]]
        kept = [c for c in every if not (masked and c.finish_reason == "length")]
        return Normalizer(max(1, len(every)), max(1, sum(len(c.token_ids) for c in kept)))

    @abc.abstractmethod
    def loss(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        """The part of the minibatch's loss that this piece makes."""

    def finish(self, means: Metrics) -> Metrics:
        """After the update: adapt what is adapted; returns metrics to add."""
        return {}

    def learn(self, optimizer: torch.optim.Optimizer, rollout: Rollout, *, seed: int) -> Metrics:
        """Take the optimiser steps of one rollout."""
        from train.update import update

        return update(self, optimizer, rollout, seed=seed)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must remember beside adapter and optimiser."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Go on from `state`."""

    @torch.no_grad()
    def freeze_old(self, piece: Piece) -> None:
        """Keep the log-probs of the policy before the update."""
        piece.old_logprobs, _ = self.policy.logprobs(piece.layout)

    @torch.no_grad()
    def freeze_reference(self, piece: Piece) -> None:
        """Keep the log-probs of the reference."""
        with self.policy.as_reference():
            piece.ref_logprobs, _ = self.policy.logprobs(piece.layout)


def token_sums(ratio: Tensor, clipped: Tensor, kl: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The sums that metrics are made of; see `policy_loss`."""
    inside = mask.bool()
    return {
        "ratio_sum": (ratio * inside).sum().detach(),
        "ratio_max": ratio.detach().masked_fill(~inside, -torch.inf).max(),
        "clipped": (clipped & inside).sum(),
        "kl_sum": (kl * inside).sum().detach(),
        "tokens": inside.sum(),
    }
