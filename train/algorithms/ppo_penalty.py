"""PPO's other form (Schulman et al., arXiv 1707.06347, eq. 8): no clip, but

    L = −E[ ρ_t A_t ] + κ KL(π_old ‖ π_θ)

with κ halved where the KL fell below target / 1.5, and doubled where it rose above 1.5 × target.
The KL is that of the whole update, measured in a pass of its own after the last step. It takes
several steps a rollout: before the first one the KL and its gradient are 0, and bound nothing.
"""

from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field

from common import ranks
from train.algorithms.a2c import CriticAlgorithmSettings
from train.algorithms.base import Forward, token_sums
from train.algorithms.ppo import Ppo
from train.batch import Batch, MicroBatch
from train.config.algorithm import HasReference
from train.losses import LossOutput, Normalizer, kl_estimate
from train.records.metrics import Metrics

if TYPE_CHECKING:
    from train.config.schema import TrainConfig


class PpoPenaltySettings(CriticAlgorithmSettings, HasReference):
    kl_weight: float = Field(0.2, gt=0.0, description="of the KL to the old policy, at first")
    kl_target: float = Field(0.003, gt=0.0, description="nats a token and update")

    def check(self, config: "TrainConfig") -> None:
        super().check(config)
        if config.optimizer.epochs * config.optimizer.minibatches == 1:
            raise ValueError(
                "algorithm.name = 'ppo_penalty' takes several steps a rollout: in a single one "
                "its KL is 0; set optimizer.epochs or optimizer.minibatches above 1"
            )


class PpoPenalty(Ppo):
    """A KL penalty with an adaptive weight in place of the clip."""

    Settings = PpoPenaltySettings

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.weight = self.settings.kl_weight

    def actor(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        assert micro.old_logprobs is not None
        ratio = ((forward.logprobs - micro.old_logprobs) * micro.mask).exp()
        moved = kl_estimate(micro.old_logprobs, forward.logprobs, "k3") * micro.mask
        bonus = self.settings.entropy_bonus * forward.entropy
        gain = ratio * micro.advantages - self.weight * moved + bonus
        kl = torch.zeros_like(moved)
        if micro.ref_logprobs is not None:  # measured only: the penalty is in the reward
            kl = kl_estimate(forward.logprobs.detach(), micro.ref_logprobs, "k3")
        sums = token_sums(ratio, ratio.isnan(), kl, micro.mask)
        return LossOutput(-(gain * micro.mask).sum() / whole.tokens, sums)

    def finish(self, batch: Batch, means: Metrics) -> Metrics:
        moved = self.moved(batch)
        found = {"kl_weight": self.weight, "kl_moved": moved}
        self.weight = adapted(self.weight, moved, self.settings.kl_target)
        return {**super().finish(batch, means), **found}

    @torch.no_grad()
    def moved(self, batch: Batch) -> float:
        """KL(π_old ‖ π_θ) of the policy as it is now, mean over the tokens of the batch."""
        total, tokens = 0.0, 0
        for micro in batch.all_micro_batches():
            assert micro.old_logprobs is not None
            now, _ = self.policy.logprobs(micro.layout)
            if micro.counts:
                total += float((kl_estimate(micro.old_logprobs, now, "k3") * micro.mask).sum())
                tokens += int(micro.mask.sum())
        return sum(ranks.gather(total)) / max(1, sum(ranks.gather(tokens)))

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
