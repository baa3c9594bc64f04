"""Advantage actor–critic (Mnih et al., arXiv 1602.01783), each token an action.

    ∇J = E[ Σ_t A_t ∇ log π_θ(y_t | x, y_<t) ],    L_V = ½ (V(x, y_<t) − R_t)²

A_t comes from the critic by GAE(γ, λ); R_t = A_t + V_t is what the critic learns. One optimiser
step a rollout. The last token's reward is the checker's.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field

from train.algorithms.base import Algorithm, Forward, token_sums
from train.algorithms.critic import Critic, CriticSettings, gae, token_rewards, value_loss
from train.batch import Batch, MicroBatch
from train.config.algorithm import AlgorithmSettings, SkipsTruncated
from train.losses import LossOutput, Normalizer
from train.rollout import Rollout

if TYPE_CHECKING:
    from train.config.schema import TrainConfig


class CriticAlgorithmSettings(SkipsTruncated):
    entropy_bonus: float = Field(0.0, description="weight of the entropy in the loss")
    critic: CriticSettings = CriticSettings()


class ActorCriticSettings(CriticAlgorithmSettings):
    one_step = True

    def check(self, config: "TrainConfig") -> None:
        super().check(config)
        if self.critic.clip != CriticSettings().clip:
            raise ValueError(
                f"algorithm.critic.clip has no meaning for algorithm.name = '{self.name}': in its "
                "one step no value has moved yet"
            )


class ActorCritic(Algorithm):
    """Policy gradient with a learned value as baseline."""

    Settings: ClassVar[type[AlgorithmSettings]] = ActorCriticSettings
    only_mixed = False  # a group all right or all wrong still teaches the critic

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.critic = Critic(self.config, self.policy, self.settings.critic)

    def parameter_groups(self) -> list[dict[str, Any]]:
        relative = self.settings.critic.lr / self.config.optimizer.lr
        critic = {"params": self.critic.trained(), "relative": relative}
        return [*super().parameter_groups(), critic]

    def penalty(self) -> float:
        """The weight of the KL to the reference inside the reward."""
        return 0.0

    def pay(self, rollout: Rollout) -> torch.Tensor:
        """What each completion is paid at its last token, `[P, N]`."""
        return rollout.shaped

    def freeze(self, batch: Batch) -> None:
        settings = self.settings.critic
        self.freeze_old(batch)
        if self.penalty():
            self.freeze_reference(batch)
        batch.freeze("values", lambda micro: self.critic.values(micro.layout))
        paid = self.pay(batch.rollout)

        def advantages(micro: MicroBatch) -> torch.Tensor:
            rewards = torch.stack([paid[g, i] for g, i in micro.rows])
            return gae(
                token_rewards(micro, rewards, self.penalty()),
                micro.frozen["values"],
                micro.mask,
                gamma=settings.gamma,
                lam=settings.lam,
            )

        batch.freeze("advantages", advantages)
        batch.freeze("returns", lambda micro: micro.advantages + micro.frozen["values"])
        if settings.whiten:
            batch.whiten_advantages()

    def loss(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        actor = self.actor(micro, forward, whole)
        values = self.critic.values(micro.layout, forward.states)
        error = value_loss(
            values,
            micro.frozen["values"],
            micro.frozen["returns"],
            micro.mask,
            self.settings.critic.clip,
        )
        error = error / whole.tokens
        return LossOutput(
            actor.loss + self.settings.critic.weight * error,
            {**actor.metrics, "part/value_loss": error.detach()},
        )

    def actor(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        """The policy's part of the loss."""
        gain = micro.advantages * forward.logprobs
        bonus = self.settings.entropy_bonus * forward.entropy
        value = -((gain + bonus) * micro.mask).sum() / whole.tokens
        none = torch.zeros_like(forward.logprobs)
        return LossOutput(value, token_sums(none + 1, none.bool(), none, micro.mask))

    def state(self) -> dict[str, Any]:
        return {"critic": self.critic.weights()}

    def restore(self, state: dict[str, Any]) -> None:
        self.critic.restore(state["critic"])
