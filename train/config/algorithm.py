"""What the settings of all algorithms have in common, and groups of settings that several read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from train.config.sections import Section

if TYPE_CHECKING:
    from train.config.schema import TrainConfig


class AlgorithmSettings(Section):
    """`[algorithm]`; each algorithm adds what it reads."""

    one_step: ClassVar[bool] = False  # no ratio that would allow a second step on a rollout
    shaped: ClassVar[bool] = True  # whether penalties on top of correctness reach its loss

    name: str = Field("grpo", description="the algorithm, or path/to/file.py:Class of your own")

    under_truncation: ClassVar[bool] = True  # whether it can learn under top_p, top_k, min_p
    corrects: ClassVar[bool] = False  # whether it weighs by the policy that sampled

    def check(self, config: "TrainConfig") -> None:
        """Raise ValueError where the rest of the configuration does not fit this algorithm."""
        optimizer = config.optimizer
        self._check_truncation(config)
        if config.rollout.ahead and not self.corrects:
            raise ValueError(
                f"rollout.ahead has rollouts one step old, which algorithm.name = '{self.name}' "
                "does not correct for; use grpo"
            )
        if self.one_step and (optimizer.epochs > 1 or optimizer.minibatches > 1):
            raise ValueError(
                f"algorithm.name = '{self.name}' takes one step a rollout: "
                "optimizer.epochs and optimizer.minibatches must be 1"
            )
        if not self.shaped and config.reward.overlong_free is not None:
            raise ValueError(
                f"reward.overlong_free has no meaning for algorithm.name = '{self.name}'"
            )
        if not self.shaped and [f.path for f in config.reward.functions] != ["correct"]:
            raise ValueError(
                f"reward.functions has no meaning for algorithm.name = '{self.name}': it learns "
                "from right and wrong alone"
            )

    def _check_truncation(self, config: "TrainConfig") -> None:
        """Truncated sampling is learnt from under the same truncation: where that means nothing,
        refuse it. What was kept is known for the policy that sampled, and for no other one."""
        sampling, optimizer = config.sampling, config.optimizer
        if not sampling.truncates:
            return
        which = "sampling.top_p, top_k or min_p"
        if optimizer.epochs > 1 or optimizer.minibatches > 1:
            raise ValueError(
                f"{which} need optimizer.epochs = 1 and optimizer.minibatches = 1: after a step "
                "the kept tokens would be others, and ratios mean nothing"
            )
        if not self.under_truncation or getattr(self, "beta", False):
            raise ValueError(
                f"{which} cannot be used with a KL or ratio between two policies "
                f"(algorithm.name = '{self.name}', algorithm.beta): each keeps tokens of its own"
            )

    def refuse_unread(self, where: str, keys: Sequence[str]) -> None:
        """Raise ValueError for settings that were given another value and that nothing reads."""
        for key in keys:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"algorithm.{key} has no meaning with {where}")


class SkipsTruncated(AlgorithmSettings):
    mask_truncated: bool = Field(False, description="learn nothing from completions cut off")


class HasReference(AlgorithmSettings):
    beta: float = Field(0.0, ge=0.0, description="weight of the KL to the reference")
    reference_every: int = Field(
        0, ge=0, description="steps until the policy becomes the reference; 0: never"
    )

    def check(self, config: "TrainConfig") -> None:
        super().check(config)
        if self.reference_every and not self.beta:
            raise ValueError("algorithm.reference_every moves a reference that beta = 0 never uses")


class Clips(AlgorithmSettings):
    epsilon: float = Field(0.2, gt=0.0, description="the ratio is clipped below at 1 − epsilon")
    epsilon_high: float | None = Field(
        None, gt=0.0, description="and above at 1 + epsilon_high; none: epsilon"
    )
    dual_clip: float | None = Field(
        None, gt=1.0, description="bound on the surrogate where the advantage is negative"
    )


class Normalizes(AlgorithmSettings):
    scale: Literal["group", "batch", "none"] = Field(
        "group", description="divide advantages by the standard deviation of the group or batch"
    )
    baseline: Literal["mean", "leave_one_out"] = Field(
        "mean", description="subtracted from a reward: its group's mean, or the others' mean"
    )
