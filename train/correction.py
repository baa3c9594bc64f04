"""Importance weights against a sampler whose log-probs are not the trainer's.

With r_t = π_old(y_t) / π_sampler(y_t), both on the same tokens, a completion's policy gradient is
weighed by w, bounded by `cap` and, if given, by `floor`:

| correction | ratio w is made of | source |
|---|---|---|
| token | r_t, one a token | Yao et al., "Your efficient RL framework secretly brings you off-policy RL training", 2025 |
| sequence | Π_t r_t, one a completion | the same |
| geometric | (Π_t r_t)^(1/T), one a completion, whatever its length | as GSPO's ratio, arXiv 2507.18071 |

What lies beyond a bound is set to the bound (truncated), or with `drop` gets weight 0: tokens alone
(IcePop, arXiv 2510.18855) or, where the ratio is a completion's, all of its tokens.
"""  # noqa: E501

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.shapes import B_T

Correction = Literal["none", "token", "sequence", "geometric"]


def sampler_weights(
    old_logprobs: Float[Tensor, B_T],
    sampler_logprobs: Float[Tensor, B_T] | None,
    mask: Bool[Tensor, B_T] | Float[Tensor, B_T],
    correction: Correction,
    cap: float,
    floor: float | None = None,
    *,
    drop: bool = False,
) -> Float[Tensor, B_T]:
    """The weight of each token, without gradient; see the table above.

    Raises ValueError for an unknown correction, bounds that hold nothing, or missing log-probs.
    """
    if correction not in ("token", "sequence", "geometric"):
        raise ValueError(
            f"unknown correction '{correction}', expected none, token, sequence or geometric"
        )
    if sampler_logprobs is None:
        raise ValueError("the correction needs the sampler's log-probs")
    if floor is not None and not 0 <= floor < cap:
        raise ValueError(f"the correction's floor {floor} must be below its cap {cap}")
    inside = mask.to(old_logprobs.dtype)
    gap = ((old_logprobs - sampler_logprobs) * inside).detach()
    if correction != "token":
        total = gap.sum(1, keepdim=True)
        if correction == "geometric":
            total = total / inside.sum(1, keepdim=True).clamp(min=1)
        gap = total.expand_as(gap)
    weights = gap.exp()
    if not drop:
        return weights.clamp(min=floor, max=cap)
    kept = weights <= cap
    if floor is not None:
        kept = kept & (weights >= floor)
    return torch.where(kept, weights, 0.0)
