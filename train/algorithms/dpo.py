"""Direct Preference Optimization (Rafailov et al., arXiv 2305.18290), on the rollouts themselves.

    L = −log σ( β [log π_θ/π_ref (y_w) − log π_θ/π_ref (y_l)] )                      (eq. 7)

Online: in each group with signal, right completions are set against wrong ones. With `ranking` K
above 2 a right completion stands before K − 1 wrong ones: the first factor of the Plackett–Luce
likelihood (eq. 19), the only one that 0/1 rewards determine.
"""

import random

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from train.algorithms.base import Algorithm, Forward, token_sums
from train.losses import LossOutput, Normalizer
from train.packing import Minibatch, Piece, Unit
from train.rollout import Rollout


class Dpo(Algorithm):
    """Right completions made likelier than wrong ones, measured from the reference."""

    @property
    def wants_pairs(self) -> bool:
        return True

    def choose(self, rollout: Rollout, groups: list[int], seed: int) -> list[Unit]:
        return rankings(rollout, groups, self.config.dpo.ranking, seed)

    def whole(self, rollout: Rollout, groups: list[int], units: list[Unit]) -> Normalizer:
        tokens = sum(len(rollout.completions[g][i].token_ids) for unit in units for g, i in unit)
        return Normalizer(max(1, len(units)), max(1, tokens))

    def prepare(self, batches: list[Minibatch], rollout: Rollout) -> None:
        for piece in (piece for batch in batches for piece in batch.pieces):
            self.freeze_reference(piece)

    def loss(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        settings = self.config.dpo
        assert piece.ref_logprobs is not None
        gap = (forward.logprobs - piece.ref_logprobs) * piece.mask
        scores = settings.beta * gap.sum(1).view(-1, settings.ranking)
        value = plackett_luce(scores, known=1).sum() / whole.sequences
        one = torch.ones_like(gap)
        return LossOutput(value, token_sums(one, one.isnan(), gap, piece.mask))


def rankings(rollout: Rollout, groups: list[int], size: int, seed: int) -> list[Unit]:
    """Rankings of `size` completions of a group, a right one first; each is used once at most."""
    draw, chosen = random.Random(f"{seed}/rankings"), []
    for g in groups:
        rewards = rollout.rewards[g].tolist()
        right = [i for i, reward in enumerate(rewards) if reward == 1]
        wrong = [i for i, reward in enumerate(rewards) if reward == 0]
        draw.shuffle(right)
        draw.shuffle(wrong)
        while right and len(wrong) >= size - 1:
            chosen.append([(g, right.pop()), *((g, wrong.pop()) for _ in range(size - 1))])
    return chosen


def preference_loss(chosen: Float[Tensor, "B"], rejected: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    """−log σ(chosen − rejected), the likelihood of Bradley and Terry (1952).

    With scores β log π/π_ref it is DPO's loss, with a reward model's scores that model's.
    """
    return -F.logsigmoid(chosen - rejected)


def plackett_luce(scores: Float[Tensor, "B K"], known: int | None = None) -> Float[Tensor, "B"]:
    """−log likelihood of rankings, best first: −Σ_k [s_k − log Σ_{j ≥ k} exp s_j].

    `known` is how many of the first places are determined; the rest are tied. K = 2 is DPO.
    """
    places = scores.shape[1] - 1 if known is None else known
    rest = scores.flip(1).logcumsumexp(1).flip(1)  # log Σ_{j ≥ k}
    return (rest - scores)[:, :places].sum(1)
