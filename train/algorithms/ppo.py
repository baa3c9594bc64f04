"""Proximal Policy Optimization (Schulman et al., arXiv 1707.06347) on tokens, as RLHF uses it.

    L = −E[ min(ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t) ]  +  c_V L_V  −  c_H H          (eq. 9)

The reward of a token is −β log(π_old / π_ref), and at the last token the checker's besides (Ouyang
et al., arXiv 2203.02155). Old log-probs, values and advantages are frozen; then K epochs over
shuffled minibatches. `ppo_penalty` is the paper's other form (eq. 8): no clip, but

    L = −E[ ρ_t A_t ] + κ KL(π_old ‖ π_θ)

with κ halved where the KL fell below target / 1.5, and doubled where it rose above 1.5 × target.
"""

from typing import Any

import torch

from train.algorithms.actor_critic import ActorCritic
from train.algorithms.base import Forward, token_sums
from train.losses import LossOutput, Normalizer, kl_estimate, policy_loss
from train.metrics import Metrics
from train.packing import Piece


class Ppo(ActorCritic):
    """Clipped surrogate, clipped value loss."""

    reads = frozenset("epsilon epsilon_high dual_clip entropy_bonus beta reference_every".split())

    def penalty(self) -> float:
        return self.config.grpo.beta

    def actor(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        settings = self.config.grpo
        assert piece.old_logprobs is not None
        return policy_loss(
            forward.logprobs,
            piece.old_logprobs,
            piece.advantages,
            piece.mask,
            ref_logprobs=piece.ref_logprobs,  # measured only: the penalty is in the reward
            loss="dapo",
            epsilon=settings.epsilon,
            epsilon_high=settings.epsilon_high,
            dual_clip=settings.dual_clip,
            entropy=forward.entropy,
            entropy_bonus=settings.entropy_bonus,
            whole=whole,
        )


class PpoPenalty(Ppo):
    """A KL penalty with an adaptive weight in place of the clip."""

    reads = frozenset("entropy_bonus beta reference_every".split())

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.weight = self.config.critic.kl_weight
        self.moved, self.seen = 0.0, 0.0  # sums over the update's tokens

    def actor(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        assert piece.old_logprobs is not None
        ratio = ((forward.logprobs - piece.old_logprobs) * piece.mask).exp()
        moved = kl_estimate(piece.old_logprobs, forward.logprobs, "k3") * piece.mask
        bonus = self.config.grpo.entropy_bonus * forward.entropy
        gain = ratio * piece.advantages - self.weight * moved + bonus
        self.moved += float(moved.detach().sum())
        self.seen += float(piece.mask.sum())
        kl = torch.zeros_like(moved)
        if piece.ref_logprobs is not None:  # measured only: the penalty is in the reward
            kl = kl_estimate(forward.logprobs.detach(), piece.ref_logprobs, "k3")
        sums = token_sums(ratio, ratio.isnan(), kl, piece.mask)
        return LossOutput(-(gain * piece.mask).sum() / whole.tokens, sums)

    def finish(self, means: Metrics) -> Metrics:
        moved = self.moved / max(1.0, self.seen)
        found = {"kl_weight": self.weight, "kl_moved": moved}
        self.weight = adapted(self.weight, moved, self.config.critic.kl_target)
        self.moved, self.seen = 0.0, 0.0
        return {**super().finish(means), **found}

    def state(self) -> dict[str, Any]:
        return {**super().state(), "weight": self.weight}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.weight = state["weight"]


def adapted(weight: float, kl: float, target: float) -> float:
    """The penalty's next weight (Schulman et al. 2017, section 4)."""
    if kl < target / 1.5:
        return weight / 2
    if kl > target * 1.5:
        return weight * 2
    return weight
