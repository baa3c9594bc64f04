"""REINFORCE (Williams, 1992).

    ∇J = E[ (R − b) Σ_t ∇ log π_θ(y_t | x, y_<t) ]

The whole completion is one action with the full return R, the checker's reward. b lowers the
variance without bias: nothing, or a moving average of earlier rewards; in the first step, where
there are none, the mean of the batch's other rewards. One optimiser step a
rollout: there is no ratio that would allow more.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from common.shapes import P_N
from train.algorithms.base import Algorithm, Forward, token_sums
from train.batch import MicroBatch
from train.config.algorithm import AlgorithmSettings, SkipsTruncated
from train.losses import LossOutput, Normalizer
from train.rollout import Rollout

if TYPE_CHECKING:
    from train.config.schema import TrainConfig


class ReinforceSettings(SkipsTruncated):
    one_step = True

    baseline: Literal["moving_average", "none"] = Field(
        "moving_average", description="subtracted from every reward"
    )
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="of the moving average, a step")

    def check(self, config: "TrainConfig") -> None:
        super().check(config)
        if self.baseline == "none":
            self.refuse_unread('algorithm.baseline = "none"', ("momentum",))


class Reinforce(Algorithm):
    """Full return, with or without a moving-average baseline."""

    Settings: ClassVar[type[AlgorithmSettings]] = ReinforceSettings
    only_mixed = False

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.baseline: float | None = None

    def advantages(self, rollout: Rollout) -> Float[Tensor, P_N]:
        """R − b for each completion; moves the baseline."""
        rewards = rollout.shaped
        if self.settings.baseline == "none":
            return rewards
        mean, momentum = float(rewards.mean()), self.settings.momentum
        if self.baseline is None:
            self.baseline = mean
            others = (rewards.sum() - rewards) / (rewards.numel() - 1)
            return rewards - others
        before, self.baseline = self.baseline, momentum * self.baseline + (1 - momentum) * mean
        return rewards - before

    def loss(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        assert micro.advantages is not None
        logprobs = (forward.logprobs * micro.mask).sum(1)
        value = -(micro.advantages * logprobs).sum() / whole.sequences
        none = torch.zeros_like(forward.logprobs)
        return LossOutput(value, token_sums(none + 1, none.bool(), none, micro.mask))

    def state(self) -> dict[str, Any]:
        return {"baseline": self.baseline}

    def restore(self, state: dict[str, Any]) -> None:
        self.baseline = state["baseline"]
