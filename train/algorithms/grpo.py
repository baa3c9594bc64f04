"""Group Relative Policy Optimization (Shao et al., DeepSeekMath, arXiv 2402.03300, eq. 3).

    L = −E[ min(ρ A, clip(ρ, 1 − ε, 1 + ε_high) A) ] + β KL(π_θ ‖ π_ref),    ρ = π_θ / π_old

A_i = (r_i − mean(r)) / std(r) over the group of N completions of a prompt. The group's mean takes
the critic's place. Variants (dapo, dr_grpo, gspo, …) are in `train/losses.py`.

With `supervision = "process"` (section 4.1.3) each reasoning step is rewarded at its end: a line
whose arithmetic holds gets 1, one whose does not 0, the last line the checker's reward. Rewards
are normalised over all steps of the group, and a token's advantage is the sum of the normalised
rewards at and after it.
"""

import torch
from torch import Tensor

from train.algorithms.base import Algorithm, Forward
from train.algorithms.steps import step_rewards
from train.losses import LossOutput, Normalizer, policy_loss
from train.packing import Minibatch, Piece
from train.rollout import Rollout

EPSILON = 1e-4  # beside a standard deviation


class Grpo(Algorithm):
    """Clipped surrogate with group advantages, KL to the reference in the loss."""

    reads = frozenset(
        "loss scale baseline epsilon epsilon_high dual_clip entropy_bonus beta kl reference_every "
        "correction correction_cap supervision".split()
    )

    @property
    def entropy_gradient(self) -> bool:
        return bool(self.config.grpo.entropy_bonus)

    def prepare(self, batches: list[Minibatch], rollout: Rollout) -> None:
        settings = self.config.grpo
        for piece in (piece for batch in batches for piece in batch.pieces):
            if settings.beta:
                self.freeze_reference(piece)
            if not self.once:
                self.freeze_old(piece)
            if settings.supervision == "process":
                piece.advantages = self.process_advantages(piece, rollout)

    def process_advantages(self, piece: Piece, rollout: Rollout) -> Tensor:
        """The advantages `[B, T]` of the tokens of a piece."""
        advantages = torch.zeros(piece.mask.shape)
        groups: dict[int, list[list[tuple[int, float]]]] = {}
        for row, (g, i) in enumerate(piece.rows):
            if g not in groups:
                groups[g] = [
                    step_rewards(completion, float(reward), self.tokenizer)
                    for completion, reward in zip(
                        rollout.completions[g], rollout.rewards[g].tolist(), strict=True
                    )
                ]
            advantages[row] = process_advantages(groups[g], piece.mask.shape[1])[i]
        return advantages.to(piece.mask.device)

    def loss(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        settings = self.config.grpo
        old = forward.logprobs.detach() if piece.old_logprobs is None else piece.old_logprobs
        return policy_loss(
            forward.logprobs,
            old,
            piece.advantages,
            piece.mask,
            ref_logprobs=piece.ref_logprobs,
            loss=settings.loss,
            epsilon=settings.epsilon,
            epsilon_high=settings.epsilon_high,
            beta=settings.beta,
            kl=settings.kl,
            max_tokens=self.config.sampler.max_tokens,
            whole=whole,
            dual_clip=settings.dual_clip,
            entropy=forward.entropy,
            entropy_bonus=settings.entropy_bonus,
            sampler_logprobs=piece.sampler_logprobs,
            correction=settings.correction,
            correction_cap=settings.correction_cap,
        )


def process_advantages(members: list[list[tuple[int, float]]], length: int) -> Tensor:
    """Advantages `[N, T]` of a group from its step rewards.

    `members[i]` holds (index of the step's last token, reward) of completion i. Source:
    DeepSeekMath (arXiv 2402.03300), section 4.1.3.
    """
    rewards = torch.tensor([reward for steps in members for _, reward in steps])
    spread = rewards.std() if len(rewards) > 1 else torch.tensor(0.0)
    advantages = torch.zeros(len(members), length)
    for i, steps in enumerate(members):
        for end, reward in steps:
            advantages[i, : end + 1] += (reward - rewards.mean()) / (spread + EPSILON)
    return advantages
