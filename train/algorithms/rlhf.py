"""RLHF (Ouyang et al., arXiv 2203.02155): a reward model from preferences, then PPO against it.

First a reward model learns from pairs, right against wrong completions of one prompt, by the
likelihood of Bradley and Terry (eq. 1):

    L_RM = −log σ( s(x, y_w) − s(x, y_l) )

It reads the whole completion, its last token included. A step without a single pair, as all
groups were equal, teaches it nothing and is not counted: PPO begins only once it has learnt.
Then it is frozen, and PPO maximises its score s with the KL penalty of `train/algorithms/ppo.py`.
The checker only judges: `reward/mean` is still its verdict, `rlhf/score` what PPO is paid for.
Where the second rises and the first does not, the reward model is being gamed.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from common.shapes import P_N, B
from train.algorithms.critic import Critic, CriticSettings
from train.algorithms.dpo import preference_loss, rankings
from train.algorithms.pairs import LearnsFromPairs, pairs_that_fit, rollout_of_pairs
from train.algorithms.ppo import Ppo, PpoSettings
from train.batch import Batch, Row, Unit
from train.records.metrics import Metrics
from train.rollout import Rollout
from train.update import MetricSums


class RlhfSettings(PpoSettings, LearnsFromPairs):
    shaped = False

    pair_steps: int = Field(20, ge=1, description="steps of the reward model, before PPO begins")
    reward_lr: float = Field(1e-3, gt=0.0, description="learning rate of the reward model")


class RewardModel(Critic):
    """A score for each completion: the value after its last token.

    Always a network of its own, as the policy must not move what scores it.
    """

    def __init__(self, config: Any, policy: Any, settings: CriticSettings):
        super().__init__(config, policy, settings.model_copy(update={"kind": "separate"}))

    def score(self, rollout: Rollout, rows: list[Row]) -> Float[Tensor, B]:
        """One score for each of some completions, those of a group adjacent."""
        from models.packed import PackedGroups

        order = list(dict.fromkeys(g for g, _ in rows))
        # what predicts a token more has read the last one
        texts = [
            [[*rollout.completions[g][i].token_ids, 0] for h, i in rows if h == g] for g in order
        ]
        layout = PackedGroups([rollout.prompts[g] for g in order], texts, self.policy.device)
        last = layout.mask.sum(1, keepdim=True) - 1
        return self.values(layout).gather(1, last)[:, 0]


class Rlhf(Ppo):
    """`pair_steps` steps for the reward model, then PPO against it."""

    Settings = RlhfSettings
    in_parallel = False  # its reward model is one process's

    def __init__(self, *args: Any):
        super().__init__(*args)
        path = self.settings.pairs
        self.pairs = pairs_that_fit(path, self.prompt, self.context) if path else None
        self.model = RewardModel(self.config, self.policy, self.settings.critic)
        self.model_optimizer = torch.optim.AdamW(self.model.trained(), lr=self.settings.reward_lr)
        self.learned = 0  # steps the reward model has had
        self.mean, self.spread = 0.0, 1.0  # of its scores, when it was frozen
        self.score: float | None = None  # mean of the last rollout

    @property
    def modelling(self) -> bool:
        """Whether it is still the reward model's turn."""
        return self.learned < self.settings.pair_steps

    def own_rollout(self, step: int, seed: int) -> Rollout | None:
        if self.pairs is None or not self.modelling:
            return None
        return rollout_of_pairs(self.pairs, self.prompt, self.config.rollout.prompts, step, seed)

    def choose(self, rollout: Rollout, groups: list[int]) -> list[Unit]:
        return rankings(rollout, groups, 2) if self.modelling else super().choose(rollout, groups)

    def freeze(self, batch: Batch) -> None:
        if not self.modelling:
            super().freeze(batch)

    def pay(self, rollout: Rollout) -> Float[Tensor, P_N]:
        scores = (self._scores(rollout) - self.mean) / self.spread
        self.score = float(scores.mean())
        return scores

    def take_step(self, batch: Batch) -> Metrics | None:
        """One step of the reward model on the pairs of a rollout, while it is its turn."""
        if not self.modelling:
            return None
        units = [unit for part in batch.minibatches() for unit in part.units]
        sums, right, total = MetricSums(), 0.0, 0.0
        for micro in batch.micro_batches(units):
            scores = self.model.score(batch.rollout, micro.rows).view(-1, 2)
            loss = preference_loss(scores[:, 0], scores[:, 1]).sum() / len(units)
            loss.backward()
            total += float(loss.detach())
            right += float((scores[:, 0] > scores[:, 1]).sum())
        if units:
            sums.add_step(self._step())
        if not self.modelling:  # frozen from here on
            scores = self._scores(batch.rollout)
            self.mean, self.spread = float(scores.mean()), max(1e-3, float(scores.std()))
        return {
            **sums.means(),
            "rlhf/pairs": len(units),
            "rlhf/loss": total,
            "rlhf/accuracy": right / len(units) if units else None,
        }

    def _step(self) -> float:
        """Move the reward model, unless its gradient is not finite; returns the norm."""
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.trained(), 1.0))
        if math.isfinite(norm):
            self.model_optimizer.step()
            self.learned += 1
        self.model_optimizer.zero_grad(set_to_none=True)
        return norm

    def finish(self, batch: Batch, means: Metrics) -> Metrics:
        if "rlhf/loss" in means:
            return {}
        return {**super().finish(batch, means), "rlhf/score": self.score}

    @torch.no_grad()
    def _scores(self, rollout: Rollout) -> Float[Tensor, P_N]:
        scores = torch.zeros(rollout.rewards.shape)
        every = Batch(
            rollout,
            lambda rollout, groups: [
                [(g, i)] for g in groups for i in range(len(rollout.completions[g]))
            ],
            super().normalizer,
            tokens_per_pass=self.config.optimizer.pass_size(),
            device=self.policy.device,
        )
        for micro in every.all_micro_batches():
            found = self.model.score(rollout, micro.rows)
            for (g, i), score in zip(micro.rows, found, strict=True):
                scores[g, i] = score
        return scores

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "reward_model": self.model.weights(),
            "reward_model_optimizer": self.model_optimizer.state_dict(),
            "reward_model_steps": [self.learned, self.mean, self.spread],
        }

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.model.restore(state["reward_model"])
        self.model_optimizer.load_state_dict(state["reward_model_optimizer"])
        self.learned, self.mean, self.spread = state["reward_model_steps"]
