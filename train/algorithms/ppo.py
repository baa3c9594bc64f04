"""Proximal Policy Optimization (Schulman et al., arXiv 1707.06347) on tokens, as RLHF uses it.

    L = −E[ min(ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t) ]  +  c_V L_V  −  c_H H          (eq. 9)

The reward of a token is −β log(π_old / π_ref), and at the last token the checker's besides (Ouyang
et al., arXiv 2203.02155). Old log-probs, values and advantages are frozen; then K epochs over
shuffled minibatches.
"""

from typing import ClassVar

from train.algorithms.a2c import ActorCritic, CriticAlgorithmSettings
from train.algorithms.base import Forward
from train.batch import MicroBatch
from train.config.algorithm import AlgorithmSettings, Clips, HasReference
from train.losses import LossOutput, Normalizer, policy_loss


class PpoSettings(CriticAlgorithmSettings, Clips, HasReference):
    """`beta` weighs the KL inside the reward."""


class Ppo(ActorCritic):
    """Clipped surrogate, clipped value loss."""

    Settings: ClassVar[type[AlgorithmSettings]] = PpoSettings

    def penalty(self) -> float:
        return self.settings.beta

    def actor(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        settings = self.settings
        return policy_loss(
            forward.logprobs,
            self.old(micro, forward),
            micro.advantages,
            micro.mask,
            ref_logprobs=micro.ref_logprobs,  # measured only: the penalty is in the reward
            loss="dapo",
            epsilon=settings.epsilon,
            epsilon_high=settings.epsilon_high,
            dual_clip=settings.dual_clip,
            entropy=forward.entropy,
            entropy_bonus=settings.entropy_bonus,
            whole=whole,
        )
