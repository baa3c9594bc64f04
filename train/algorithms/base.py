"""What every algorithm offers the trainer: a rollout in, a better policy out.

An algorithm is an objective. The trainer samples, checks, packs completions into pieces, and adds
up gradients; the algorithm says what to freeze before the update and what each piece's loss is.
"""

import abc
import dataclasses
import math
import random
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from train.config import TrainConfig
from train.losses import LossOutput, Normalizer
from train.metrics import Metrics
from train.packing import Minibatch, Piece, Unit, pack, split
from train.policy import Policy
from train.rollout import Rollout
from train.tally import Tally

# Settings in [grpo] that shape the rollout, whatever the algorithm.
ROLLOUT = frozenset(
    "prompts completions strict mask_truncated overlong_free dynamic_sampling max_draws curriculum "
    "epochs minibatches".split()
)


@dataclasses.dataclass(frozen=True)
class Forward:
    """The policy's pass over a piece, with gradient."""

    logprobs: Float[Tensor, "B T"]
    entropy: Float[Tensor, "B T"]
    states: Float[Tensor, "K d"]  # hidden states that predict the K tokens inside the mask


class Algorithm(abc.ABC):
    """One way to learn from rollouts."""

    reads: frozenset[str] = frozenset()  # settings in [grpo] it reads beside ROLLOUT
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

    @property
    def wants_pairs(self) -> bool:
        """Whether the next step can learn from a file of pairs."""
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
        """Take `epochs` × `minibatches` optimiser steps on a rollout.

        A step whose gradient is not finite is skipped and counted. Returns means over the tokens
        that were trained on (None where nothing was).
        """
        policy = self.policy
        batches = self.batches(rollout, seed)
        self.prepare(batches, rollout)
        tally = Tally()
        policy.model.train()
        for epoch in range(self.config.grpo.epochs):
            if epoch:
                random.Random(f"{seed}/epoch/{epoch}").shuffle(batches)
            for batch in batches:
                if not batch.pieces:
                    continue
                for piece in batch.pieces:
                    states = policy.states(piece.layout)
                    logprobs, entropy = policy.logprobs(
                        piece.layout, states=states, entropy_gradient=self.entropy_gradient
                    )
                    if epoch == 0:
                        tally.sampler_gap(piece, logprobs)
                    out = self.loss(piece, Forward(logprobs, entropy, states), batch.whole)
                    out.loss.backward()
                    tally.add(out.loss, out.metrics, entropy.detach(), piece.mask)
                norm = float(self._clip_gradients())
                if math.isfinite(norm):  # else the step is skipped, and counted
                    optimizer.step()
                tally.step(norm)
                optimizer.zero_grad(set_to_none=True)
        policy.model.eval()
        with_kl = any(piece.ref_logprobs is not None for b in batches for piece in b.pieces)
        means = tally.means(with_kl=with_kl)
        return {**means, **self.finish(means)}

    def batches(self, rollout: Rollout, seed: int) -> list[Minibatch]:
        """Split the groups at random into minibatches, each packed into pieces."""
        count = self.config.grpo.minibatches
        groups = list(range(len(rollout.prompts)))
        if count > 1:
            random.Random(f"{seed}/minibatches").shuffle(groups)
        batches = []
        for first in range(count):
            mine = groups[first::count]
            units = self.choose(rollout, mine, seed)
            batches.append(Minibatch(self.pieces(rollout, units), self.whole(rollout, mine, units)))
        return batches

    def pieces(self, rollout: Rollout, units: list[Unit]) -> list[Piece]:
        """Units of completions packed into pieces of the configured size."""
        parts = split(rollout, units, self.config.optimizer.pass_size())
        return [pack(rollout, part, self.policy.device) for part in parts]

    def _clip_gradients(self) -> Tensor:
        limit = self.config.optimizer.max_grad_norm
        return torch.nn.utils.clip_grad_norm_(self.parameters(), limit)

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
