"""What every algorithm offers: a rollout made ready to learn from, and the loss of a micro-batch.

An algorithm is an objective. Sampling, packing, gradients, clipping and metrics are the trainer's;
the algorithm says which completions teach it, their advantages, what is frozen before the update,
and what a micro-batch's loss is.
"""

import abc
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from common.shapes import B_T, P_N, K_d
from train.batch import Batch, MicroBatch, Unit
from train.config.algorithm import AlgorithmSettings
from train.losses import LossOutput, Normalizer
from train.records.metrics import Metrics
from train.rollout import Rollout

if TYPE_CHECKING:
    from data import PromptTemplate
    from train.config import TrainConfig
    from train.policy import Policy


@dataclasses.dataclass(frozen=True)
class Forward:
    """The policy's pass over a micro-batch, with gradient."""

    logprobs: Float[Tensor, B_T]
    entropy: Float[Tensor, B_T]
    states: Float[Tensor, K_d]  # hidden states that predict the K tokens inside the mask


class Algorithm(abc.ABC):
    """One way to learn from rollouts."""

    Settings: ClassVar[type[AlgorithmSettings]] = AlgorithmSettings
    only_mixed = True  # groups all right or all wrong have no outcome signal for it
    in_parallel = True  # whether several ranks can share its update

    def __init__(self, config: "TrainConfig", policy: "Policy", prompt: "PromptTemplate"):
        self.config, self.policy, self.prompt = config, policy, prompt
        self.settings: Any = config.algorithm

    # -- what it learns from

    @property
    def context(self) -> int:
        """How many tokens prompt and completion may have together."""
        from models.loading import context_length

        return context_length(self.policy.model.config)

    def own_rollout(self, step: int, seed: int) -> Rollout | None:
        """A rollout of its own for a step, in place of a sampled one; None: sample."""
        return None

    def advantages(self, rollout: Rollout) -> Float[Tensor, P_N] | None:
        """The advantage of each completion; None for an algorithm that has none, or per token."""
        return None

    def prepare(self, rollout: Rollout) -> Batch:
        """The rollout with advantages, and with all that must not move during the update."""
        optimizer = self.config.optimizer
        batch = Batch(
            rollout,
            self.choose,
            self.normalizer,
            tokens_per_pass=optimizer.pass_size(),
            minibatches=optimizer.minibatches,
            device=self.policy.device,
            even=self.config.parallel.shard,
        )
        advantages = self.advantages(rollout)
        if advantages is not None:
            batch.set_advantages(advantages)
        with torch.no_grad():
            self.freeze(batch)
            if self.policy.dropout and not batch.frozen("old_logprobs"):
                self.freeze_old(batch)  # what the sampler is compared with: no dropout there
        return batch

    def teaches(self, rollout: Rollout) -> list[bool]:
        """Which groups are passed: those with a signal, and all where another term teaches."""
        if not self.only_mixed:
            return [True] * len(rollout.prompts)
        return rollout.mixed.tolist()

    def choose(self, rollout: Rollout, groups: list[int]) -> list[Unit]:
        """What of some groups to learn from, in units that must stay in one micro-batch."""
        teaches, masked = self.teaches(rollout), getattr(self.settings, "mask_truncated", False)
        return [
            [(g, i)]
            for g in groups
            for i, completion in enumerate(rollout.completions[g])
            if teaches[g] and not (masked and completion.finish_reason == "length")
        ]

    def normalizer(self, rollout: Rollout, groups: list[int], units: list[Unit]) -> Normalizer:
        """What the minibatch's averages run over: groups that teach nothing count as well."""
        masked = getattr(self.settings, "mask_truncated", False)
        every = [completion for g in groups for completion in rollout.completions[g]]
        kept = [c for c in every if not (masked and c.finish_reason == "length")]
        trained = sum(len(rollout.completions[g][i].token_ids) for unit in units for g, i in unit)
        tokens = sum(len(c.token_ids) for c in kept)
        return Normalizer(max(1, len(every)), max(1, tokens), max(1, trained))

    def freeze(self, batch: Batch) -> None:  # noqa: B027
        """Keep what must not move during the update, without gradient."""

    def freeze_old(self, batch: Batch) -> None:
        """Keep the log-probs of the policy before the update."""
        batch.freeze("old_logprobs", lambda micro: self.policy.logprobs(micro.layout)[0])

    def freeze_reference(self, batch: Batch) -> None:
        """Keep the log-probs of the reference."""
        with self.policy.as_reference():
            batch.freeze("ref_logprobs", lambda micro: self.policy.logprobs(micro.layout)[0])

    # -- what it minimises

    @property
    def several_steps(self) -> bool:
        """Whether a rollout is used for more than one optimiser step."""
        return self.config.optimizer.epochs * self.config.optimizer.minibatches > 1

    def old(self, micro: MicroBatch, forward: Forward) -> Float[Tensor, B_T]:
        """The log-probs that ratios are taken to.

        With one step a rollout they are the pass's own, dropout included, so that each ratio is 1.
        """
        if micro.old_logprobs is None or not self.several_steps:
            return forward.logprobs.detach()
        return micro.old_logprobs

    @property
    def entropy_gradient(self) -> bool:
        """Whether the loss needs the gradient of the entropy."""
        return bool(getattr(self.settings, "entropy_bonus", 0.0))

    @abc.abstractmethod
    def loss(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        """The part of the minibatch's loss that this micro-batch makes."""

    def take_step(self, batch: Batch) -> Metrics | None:
        """A step of its own kind, in place of the optimiser's; None: there is none."""
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All that is trained, each group with its rate `relative` to the policy's."""
        return [{"params": self.policy.parameters, "relative": 1.0}]

    def finish(self, batch: Batch, means: Metrics) -> Metrics:
        """After the update: adapt what is adapted; returns metrics to add."""
        every = getattr(self.settings, "reference_every", 0)
        if every and batch.rollout.step % every == 0:
            self.policy.move_reference()
        return {}

    # -- what a checkpoint must remember beside adapter and optimiser

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Go on from `state`."""


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
