"""Group Relative Policy Optimization (Shao et al., DeepSeekMath, arXiv 2402.03300, eq. 3).

    L = −E[ min(ρ A, clip(ρ, 1 − ε, 1 + ε_high) A) ] + β KL(π_θ ‖ π_ref),    ρ = π_θ / π_old

A_i = (r_i − mean(r)) / std(r) over the group of N completions of a prompt. The group's mean takes
the critic's place. Variants (dapo, dr_grpo, gspo, …) are in `train/losses.py`.

With `supervision = "process"` (section 4.1.3) each reasoning step is rewarded at its end: a line
whose arithmetic holds gets 1, one whose does not 0, the last line the checker's reward. Rewards
are normalised over all steps of the group, and a token's advantage is the sum of the normalised
rewards at and after it.
"""

import sys
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from common.errors import nearest
from common.shapes import B_T, P_N
from train.advantages import signal_advantages
from train.algorithms.base import Algorithm, Forward
from train.algorithms.process import Steps, process_advantages, step_rewards, steps_differ
from train.batch import Batch, MicroBatch
from train.config.algorithm import Clips, HasReference, Normalizes, SkipsTruncated
from train.correction import Correction
from train.losses import LOSSES, Kl, LossOutput, Normalizer, policy_loss
from train.registry import load_object
from train.rollout import Rollout

if TYPE_CHECKING:
    from train.config.schema import TrainConfig

UNREAD = {  # settings that a loss has no use for
    "cispo": ("dual_clip",),
    "gmpo": ("dual_clip",),
    "sapo": ("dual_clip", "epsilon", "epsilon_high"),
}


class GrpoSettings(SkipsTruncated, Normalizes, Clips, HasReference):
    corrects = True

    loss: str = Field(
        "dapo",
        description=f"{', '.join(LOSSES)}, or package.module:function of your own; docs/grpo.md",
    )
    sapo_positive: float = Field(1.0, gt=0.0, description="SAPO's temperature where A > 0")
    sapo_negative: float = Field(1.05, gt=0.0, description="and where A is not")
    entropy_bonus: float = Field(0.0, description="weight of the entropy in the loss")
    kl: Kl = Field("k3", description="estimator of the KL to the reference")
    correction: Literal["auto", "none", "token", "sequence", "geometric"] = Field(
        "auto",
        description="weights against the sampler's log-probs; auto: token for vLLM in bfloat16",
    )
    correction_cap: float = Field(2.0, gt=0.0, description="upper bound of a weight")
    correction_floor: float | None = Field(
        None, gt=0.0, description="lower bound of a weight; none: unbounded"
    )
    correction_mask: bool = Field(
        False, description="weight 0 beyond the bounds, in place of the bound"
    )
    supervision: Literal["outcome", "process"] = Field(
        "outcome", description="reward the answer, or each line's arithmetic as well"
    )

    def check(self, config: "TrainConfig") -> None:
        super().check(config)
        if ":" in self.loss:
            load_object(self.loss)
        elif self.loss not in LOSSES:
            raise ValueError(f"unknown algorithm.loss '{self.loss}'{nearest(self.loss, LOSSES)}")
        self.refuse_unread(
            f'algorithm.loss = "{self.loss}"',
            ("dual_clip",) if ":" in self.loss else UNREAD.get(self.loss, ()),
        )
        if self.loss != "sapo":
            self.refuse_unread(
                f'algorithm.loss = "{self.loss}"', ("sapo_positive", "sapo_negative")
            )
        if not self.beta:
            self.refuse_unread("algorithm.beta = 0", ("kl",))
        if self.correction == "none" and config.rollout.ahead:
            raise ValueError(
                "rollout.ahead has rollouts one step old: algorithm.correction must be auto, "
                "token, sequence or geometric"
            )
        if self.correction == "none":
            bounds = ("correction_cap", "correction_floor", "correction_mask")
            self.refuse_unread('algorithm.correction = "none"', bounds)
        if self.correction_floor is not None and self.correction_floor >= self.correction_cap:
            raise ValueError("algorithm.correction_floor must be below algorithm.correction_cap")
        if self.supervision == "process":
            self.refuse_unread('algorithm.supervision = "process"', ("scale", "baseline"))
            if config.reward.overlong_free is not None:
                raise ValueError(
                    'reward.overlong_free has no meaning with algorithm.supervision = "process"'
                )


class Grpo(Algorithm):
    """Clipped surrogate with group advantages, KL to the reference in the loss."""

    Settings = GrpoSettings

    def __init__(self, *args: Any):
        super().__init__(*args)
        loss = self.settings.loss
        self.loss_function = load_object(loss) if ":" in loss else loss
        self.correction = resolved_correction(self.config)
        self._steps: tuple[Rollout | None, list[list[Steps]]] = (None, [])

    def advantages(self, rollout: Rollout) -> Float[Tensor, P_N] | None:
        if self.settings.supervision == "process":
            return None  # one for each token, see `freeze`
        return signal_advantages(
            rollout.shaped, rollout.signal, self.settings.scale, self.settings.baseline
        )

    def teaches(self, rollout: Rollout) -> list[bool]:
        """All groups where the KL or the entropy teaches, else those whose rewards differ."""
        mixed = super().teaches(rollout)
        if self.settings.beta or self.settings.entropy_bonus:
            return [True] * len(mixed)
        if self.settings.supervision == "process":
            return [steps_differ(members) for members in self.steps_of(rollout)]
        return mixed

    def steps_of(self, rollout: Rollout) -> list[list[Steps]]:
        """The step rewards `[P][N]` of a rollout; those of the last one are kept."""
        if self._steps[0] is not rollout:
            found = [
                [
                    step_rewards(completion, float(reward), self.prompt.tokenizer)
                    for completion, reward in zip(group, rewards, strict=True)
                ]
                for group, rewards in zip(
                    rollout.completions, rollout.rewards.tolist(), strict=True
                )
            ]
            self._steps = (rollout, found)
        return self._steps[1]

    def freeze(self, batch: Batch) -> None:
        if self.settings.beta:
            self.freeze_reference(batch)
        if self.several_steps:
            self.freeze_old(batch)
        if self.settings.supervision == "process":
            batch.freeze("advantages", lambda micro: self.process_advantages(micro, batch.rollout))

    def process_advantages(self, micro: MicroBatch, rollout: Rollout) -> Float[Tensor, B_T]:
        """The advantages of the tokens of a micro-batch."""
        advantages = torch.zeros(micro.mask.shape)
        steps = self.steps_of(rollout)
        for row, (g, i) in enumerate(micro.rows):
            advantages[row] = process_advantages(steps[g], micro.mask.shape[1])[i]
        return advantages.to(micro.mask.device)

    def loss(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        settings = self.settings
        return policy_loss(
            forward.logprobs,
            self.old(micro, forward),
            micro.advantages,
            micro.mask,
            ref_logprobs=micro.ref_logprobs,
            loss=self.loss_function,
            epsilon=settings.epsilon,
            epsilon_high=settings.epsilon_high,
            beta=settings.beta,
            kl=settings.kl,
            max_tokens=self.config.sampling.max_tokens,
            whole=whole,
            dual_clip=settings.dual_clip,
            entropy=forward.entropy,
            entropy_bonus=settings.entropy_bonus,
            sampler_logprobs=micro.sampler_logprobs,
            correction=self.correction,
            correction_cap=settings.correction_cap,
            correction_floor=settings.correction_floor,
            correction_mask=settings.correction_mask,
            exact_logprobs=micro.old_logprobs,
            sapo_temperatures=(settings.sapo_positive, settings.sapo_negative),
        )


def resolved_correction(config: "TrainConfig") -> Correction:
    """`auto` resolved, and said: by token where vLLM samples in bfloat16, or a step ahead.

    In bfloat16 two engines round differently, so that the sampled log-probs are off by 1e-2 and
    more; the embedded sampler runs the trainer's own module.
    """
    asked: Any = getattr(config.algorithm, "correction", "none")
    if asked != "auto":
        return asked
    if config.rollout.ahead:
        return "token"
    from sampling import pick_backend  # torch: not before a configuration is known good

    backend = pick_backend(config.sampling.backend)
    dtype = config.sampling.options.get("dtype", config.model.dtype)
    if dtype == "auto":
        dtype = "bfloat16" if torch.cuda.is_available() else "float32"
    if backend == "torch" or dtype == "float32":
        return "none"
    print(
        f'algorithm.correction = "token": {backend} samples in {dtype}, where its log-probs are '
        'not the trainer\'s; "none" leaves it off',
        file=sys.stderr,
    )
    return "token"
