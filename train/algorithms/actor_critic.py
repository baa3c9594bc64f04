"""Advantage actor–critic (Mnih et al., arXiv 1602.01783), each token an action.

    ∇J = E[ Σ_t A_t ∇ log π_θ(y_t | x, y_<t) ],    L_V = ½ (V(x, y_<t) − R_t)²

A_t comes from the critic by GAE(γ, λ); R_t = A_t + V_t is what the critic learns. One optimiser
step a rollout. The last token's reward is the checker's.
"""

from typing import Any

import torch

from train.algorithms.base import Algorithm, Forward, token_sums
from train.algorithms.critic import Critic, gae, token_rewards, value_loss
from train.losses import LossOutput, Normalizer
from train.metrics import Metrics
from train.packing import Minibatch, Piece
from train.rollout import Rollout


class ActorCritic(Algorithm):
    """Policy gradient with a learned value as baseline."""

    reads = frozenset(("entropy_bonus",))
    only_signal = False  # a group all right or all wrong still teaches the critic

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.critic = Critic(self.config, self.policy)
        self.error = 0.0

    @property
    def entropy_gradient(self) -> bool:
        return bool(self.config.grpo.entropy_bonus)

    def parameters(self) -> list[torch.nn.Parameter]:
        return [*self.policy.parameters, *self.critic.trained()]

    def penalty(self) -> float:
        """The weight of the KL to the reference inside the reward."""
        return 0.0

    @torch.no_grad()
    def prepare(self, batches: list[Minibatch], rollout: Rollout) -> None:
        settings = self.config.critic
        self.error = 0.0
        pieces = [piece for batch in batches for piece in batch.pieces]
        for piece in pieces:
            self.freeze_old(piece)
            if self.penalty():
                self.freeze_reference(piece)
            values = self.critic.values(piece.layout)
            rewards = torch.stack([rollout.shaped[g, i] for g, i in piece.rows])
            piece.advantages = gae(
                token_rewards(piece, rewards, self.penalty()),
                values,
                piece.mask,
                gamma=settings.gamma,
                lam=settings.lam,
            )
            piece.frozen = {"values": values, "returns": piece.advantages + values}
        if settings.whiten and pieces:
            every = torch.cat([piece.advantages[piece.mask] for piece in pieces])
            for piece in pieces:
                piece.advantages = (piece.advantages - every.mean()) / (every.std() + 1e-8)

    def loss(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        actor = self.actor(piece, forward, whole)
        values = self.critic.values(piece.layout, forward.states)
        error = value_loss(
            values,
            piece.frozen["values"],
            piece.frozen["returns"],
            piece.mask,
            self.config.critic.clip,
        )
        self.error += float(error.detach()) / whole.tokens
        return LossOutput(
            actor.loss + self.config.critic.weight * error / whole.tokens, actor.metrics
        )

    def actor(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        """The policy's part of the loss."""
        gain = piece.advantages * forward.logprobs
        bonus = self.config.grpo.entropy_bonus * forward.entropy
        value = -((gain + bonus) * piece.mask).sum() / whole.tokens
        none = torch.zeros_like(forward.logprobs)
        return LossOutput(value, token_sums(none + 1, none.bool(), none, piece.mask))

    def finish(self, means: Metrics) -> Metrics:
        steps = self.config.grpo.epochs * self.config.grpo.minibatches
        return {"value_loss": self.error / steps}

    def state(self) -> dict[str, Any]:
        return {"critic": self.critic.weights()}

    def restore(self, state: dict[str, Any]) -> None:
        self.critic.restore(state["critic"])
