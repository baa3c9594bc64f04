"""RLHF (Ouyang et al., arXiv 2203.02155): a reward model from preferences, then PPO against it.

First a reward model learns from pairs, right against wrong completions of one prompt, by the
likelihood of Bradley and Terry (eq. 1):

    L_RM = −log σ( s(x, y_w) − s(x, y_l) )

Then it is frozen, and PPO maximises its score s with the KL penalty of `train/algorithms/ppo.py`.
The checker only judges: `reward/mean` is still its verdict, `rlhf/score` what PPO is paid for.
Where the second rises and the first does not, the reward model is being gamed.
"""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sampling.packed import PackedGroups
from train.algorithms.critic import Critic
from train.algorithms.dpo import preference_loss, rankings
from train.algorithms.ppo import Ppo
from train.metrics import Metrics
from train.rollout import Rollout
from train.tally import Tally


class RewardModel(Critic):
    """A score for each completion: the value of what stands before its last token.

    Always a network of its own, as the policy must not move what judges it.
    """

    kind = "separate"

    def score(self, layout: PackedGroups) -> Float[Tensor, "B"]:
        """One score a completion."""
        last = layout.mask.sum(1, keepdim=True) - 1
        return self.values(layout).gather(1, last)[:, 0]


class Rlhf(Ppo):
    """`rlhf.pair_steps` steps for the reward model, then PPO against it."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.judge = RewardModel(self.config, self.policy)
        self.judge_optimizer = torch.optim.AdamW(self.judge.trained(), lr=self.config.rlhf.lr)
        self.learned = 0  # steps the reward model has had
        self.mean, self.spread = 0.0, 1.0  # of its scores, when it was frozen

    @property
    def wants_pairs(self) -> bool:
        return self.learned < self.config.rlhf.pair_steps

    def learn(self, optimizer: torch.optim.Optimizer, rollout: Rollout, *, seed: int) -> Metrics:
        if self.wants_pairs:
            return self._learn_to_judge(rollout, seed)
        scores = (self._scores(rollout) - self.mean) / self.spread
        paid = dataclasses.replace(rollout, shaped=scores)
        found = super().learn(optimizer, paid, seed=seed)
        return {**found, "rlhf/score": float(scores.mean())}

    def _learn_to_judge(self, rollout: Rollout, seed: int) -> Metrics:
        """One step of the reward model on the pairs of a rollout."""
        units = rankings(rollout, list(range(len(rollout.prompts))), 2, seed)
        right, total = 0.0, 0.0
        for piece in self.pieces(rollout, units):
            scores = self.judge.score(piece.layout).view(-1, 2)
            loss = preference_loss(scores[:, 0], scores[:, 1]).sum() / len(units)
            loss.backward()
            total += float(loss.detach())
            right += float((scores[:, 0] > scores[:, 1]).sum())
        torch.nn.utils.clip_grad_norm_(self.judge.trained(), 1.0)
        self.judge_optimizer.step()
        self.judge_optimizer.zero_grad(set_to_none=True)
        self.learned += 1
        if not self.wants_pairs:  # frozen from here on
            scores = self._scores(rollout)
            self.mean, self.spread = float(scores.mean()), max(1e-3, float(scores.std()))
        share = right / len(units) if units else None
        return {**Tally().means(), "rlhf/loss": total, "rlhf/accuracy": share}

    @torch.no_grad()
    def _scores(self, rollout: Rollout) -> Float[Tensor, "P N"]:
        scores = torch.zeros(rollout.rewards.shape)
        units = [[(g, i)] for g, group in enumerate(rollout.completions) for i in range(len(group))]
        for piece in self.pieces(rollout, units):
            for (g, i), score in zip(piece.rows, self.judge.score(piece.layout), strict=True):
                scores[g, i] = score
        return scores

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "judge": self.judge.weights(),
            "judge_optimizer": self.judge_optimizer.state_dict(),
            "judged": [self.learned, self.mean, self.spread],
        }

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.judge.restore(state["judge"])
        self.judge_optimizer.load_state_dict(state["judge_optimizer"])
        self.learned, self.mean, self.spread = state["judged"]
