"""From the rewards of groups to advantages."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.shapes import P_N, P

STD_EPSILON = 1e-4

Scale = Literal["group", "batch", "none"]
Baseline = Literal["mean", "leave_one_out"]


def group_advantages(
    rewards: Float[Tensor, P_N], scale: Scale = "group", baseline: Baseline = "mean"
) -> Float[Tensor, P_N]:
    """A_i = (r_i − b_i) / (std(r) + ε), b_i the mean of the group of N completions.

    With `leave_one_out`, b_i is the mean of the N − 1 others (RLOO: Kool et al. 2019; Ahmadian et
    al., arXiv 2402.14740, eq. 9).

    `scale` says over what the standard deviation (n − 1 in the denominator) is taken: each
    `group` (DeepSeekMath, arXiv 2402.03300, section 4.1.2), the whole `batch` (Hu et al., arXiv
    2501.03262), or `none`: no division (Dr. GRPO, arXiv 2503.20783). Raises ValueError for N < 2.
    """
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        raise ValueError(
            f"a group needs at least 2 completions, got rewards {tuple(rewards.shape)}"
        )
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if baseline == "leave_one_out":  # r_i − (Σr − r_i) / (N − 1)
        centred = centred * (rewards.shape[1] / (rewards.shape[1] - 1))
    elif baseline != "mean":
        raise ValueError(f"unknown baseline '{baseline}', expected mean or leave_one_out")
    if scale == "none":
        return centred
    if scale == "group":
        return centred / (rewards.std(dim=1, keepdim=True) + STD_EPSILON)
    if scale == "batch":
        return centred / (rewards.std() + STD_EPSILON)
    raise ValueError(f"unknown scale '{scale}', expected group, batch or none")


def signal_advantages(
    shaped: Float[Tensor, P_N],
    outcome: Float[Tensor, P_N],
    scale: Scale = "group",
    baseline: Baseline = "mean",
) -> Float[Tensor, P_N]:
    """`group_advantages` of shaped rewards, where correctness alone decides what has a signal.

    A group whose `outcome` is all equal gets 0 whatever its penalties are, and they do not count
    in the deviation of the batch.
    """
    mixed = has_mixed_rewards(outcome)[:, None]
    advantages = group_advantages(torch.where(mixed, shaped, outcome), scale, baseline)
    return torch.where(mixed, advantages, 0.0)


def has_mixed_rewards(rewards: Float[Tensor, P_N]) -> Bool[Tensor, P]:
    """Which groups have mixed rewards: not all equal."""
    return (rewards != rewards[:, :1]).any(dim=1)
