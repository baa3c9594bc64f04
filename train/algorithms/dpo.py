"""Direct Preference Optimization (Rafailov et al., arXiv 2305.18290), on the rollouts themselves.

    L = −log σ( β [log π_θ/π_ref (y_w) − log π_θ/π_ref (y_l)] )                      (eq. 7)

Online: in each group with signal, right completions are set against wrong ones. With `ranking` K
above 2 a right completion stands before K − 1 wrong ones: the first factor of the Plackett–Luce
likelihood (eq. 19), the only one that 0/1 rewards determine.
"""

import random
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from common.shapes import B_K, B
from train.algorithms.base import Algorithm, Forward, token_sums
from train.algorithms.pairs import LearnsFromPairs, pairs_that_fit, rollout_of_pairs
from train.batch import Batch, MicroBatch, Unit
from train.losses import LossOutput, Normalizer
from train.rollout import Rollout

if TYPE_CHECKING:
    from train.config.schema import TrainConfig


class DpoSettings(LearnsFromPairs):
    shaped = False
    under_truncation = False

    beta: float = Field(0.1, gt=0.0, description="weight of the log-ratio to the reference")
    ranking: int = Field(2, ge=2, description="K completions a ranking, the first one right")

    def check(self, config: "TrainConfig") -> None:
        super().check(config)
        if self.pairs and self.ranking > 2:
            raise ValueError("algorithm.pairs holds pairs: algorithm.ranking must be 2")
        if self.ranking > config.rollout.completions:
            raise ValueError("algorithm.ranking is larger than rollout.completions")


class Dpo(Algorithm):
    """Right completions made likelier than wrong ones, measured from the reference."""

    Settings = DpoSettings

    def __init__(self, *args: Any):
        super().__init__(*args)
        path = self.settings.pairs
        self.pairs = pairs_that_fit(path, self.prompt, self.context) if path else None

    def own_rollout(self, step: int, seed: int) -> Rollout | None:
        if self.pairs is None:
            return None
        return rollout_of_pairs(self.pairs, self.prompt, self.config.rollout.prompts, step, seed)

    def choose(self, rollout: Rollout, groups: list[int]) -> list[Unit]:
        return rankings(rollout, groups, self.settings.ranking)

    def normalizer(self, rollout: Rollout, groups: list[int], units: list[Unit]) -> Normalizer:
        tokens = sum(len(rollout.completions[g][i].token_ids) for unit in units for g, i in unit)
        return Normalizer(max(1, len(units)), max(1, tokens))

    def freeze(self, batch: Batch) -> None:
        self.freeze_reference(batch)

    def loss(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        assert micro.ref_logprobs is not None
        gap = (forward.logprobs - micro.ref_logprobs) * micro.mask
        scores = self.settings.beta * gap.sum(1).view(-1, self.settings.ranking)
        value = plackett_luce(scores, known=1).sum() / whole.sequences
        one = torch.ones_like(gap)
        return LossOutput(value, token_sums(one, one.isnan(), gap, micro.mask))


def rankings(rollout: Rollout, groups: list[int], size: int) -> list[Unit]:
    """Rankings of `size` completions of a group, a right one first; each is used once at most.

    They follow from the rollout's seed and the group alone, however groups are split.
    """
    chosen = []
    for g in groups:
        draw = random.Random(f"{rollout.seed}/rankings/{g}")
        rewards = rollout.rewards[g].tolist()
        right = [i for i, reward in enumerate(rewards) if reward == 1]
        wrong = [i for i, reward in enumerate(rewards) if reward == 0]
        draw.shuffle(right)
        draw.shuffle(wrong)
        while right and len(wrong) >= size - 1:
            chosen.append([(g, right.pop()), *((g, wrong.pop()) for _ in range(size - 1))])
    return chosen


def preference_loss(chosen: Float[Tensor, B], rejected: Float[Tensor, B]) -> Float[Tensor, B]:
    """−log σ(chosen − rejected), the likelihood of Bradley and Terry (1952).

    With scores β log π/π_ref it is DPO's loss, with a reward model's scores that model's.
    """
    return -F.logsigmoid(chosen - rejected)


def plackett_luce(scores: Float[Tensor, B_K], known: int | None = None) -> Float[Tensor, B]:
    """−log likelihood of rankings, best first: −Σ_k [s_k − log Σ_{j ≥ k} exp s_j].

    `known` is how many of the first places are determined; the rest are tied. K = 2 is DPO.
    """
    places = scores.shape[1] - 1 if known is None else known
    rest = scores.flip(1).logcumsumexp(1).flip(1)  # log Σ_{j ≥ k}
    return (rest - scores)[:, :places].sum(1)
