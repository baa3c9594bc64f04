"""REINFORCE (Williams, 1992) and its leave-one-out form, RLOO.

    ∇J = E[ (R − b) Σ_t ∇ log π_θ(y_t | x, y_<t) ]

The whole completion is one action with the full return R, the checker's reward. b lowers the
variance without bias: nothing, a moving average of earlier rewards, or for RLOO (Kool et al., 2019;
Ahmadian et al., arXiv 2402.14740, eq. 9) the mean reward of the group's other completions. One
optimiser step a rollout: there is no ratio that would allow more.
"""

from typing import Any

import torch

from train.advantages import group_advantages
from train.algorithms.base import Algorithm, Forward, token_sums
from train.losses import LossOutput, Normalizer
from train.packing import Minibatch, Piece
from train.rollout import Rollout


class Reinforce(Algorithm):
    """Full return, with or without a moving-average baseline."""

    only_signal = False

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.baseline: float | None = None

    def returns(self, rollout: Rollout) -> torch.Tensor:
        """R − b for each completion, `[P, N]`; moves the baseline."""
        rewards, momentum = rollout.shaped, self.config.reinforce.momentum
        if self.config.reinforce.baseline == "none":
            return rewards
        before = float(rewards.mean()) if self.baseline is None else self.baseline
        self.baseline = momentum * before + (1 - momentum) * float(rewards.mean())
        return rewards - before

    def prepare(self, batches: list[Minibatch], rollout: Rollout) -> None:
        returns = self.returns(rollout)
        for piece in (piece for batch in batches for piece in batch.pieces):
            mine = [returns[g, i] for g, i in piece.rows]
            piece.advantages = torch.stack(mine).to(piece.mask.device)

    def loss(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        logprobs = (forward.logprobs * piece.mask).sum(1)
        value = -(piece.advantages * logprobs).sum() / whole.sequences
        none = torch.zeros_like(forward.logprobs)
        return LossOutput(value, token_sums(none + 1, none.bool(), none, piece.mask))

    def state(self) -> dict[str, Any]:
        return {"baseline": self.baseline}

    def restore(self, state: dict[str, Any]) -> None:
        self.baseline = state["baseline"]


class Rloo(Reinforce):
    """The mean reward of the others in the group as baseline."""

    only_signal = True

    def returns(self, rollout: Rollout) -> torch.Tensor:
        return group_advantages(rollout.shaped, "none", "leave_one_out")
