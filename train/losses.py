"""The policy losses of the GRPO family, each a pure function of log-probs and advantages.

With ratio ρ = π_θ / π_old per token and advantage A per sequence, the surrogate is

    −min(ρ A, clip(ρ, 1 − ε, 1 + ε_high) A)         (PPO, arXiv 1707.06347, eq. 7)

and the losses differ in the ratio and in what they average over:

| loss | average | source |
|---|---|---|
| grpo | over each sequence, then over sequences | arXiv 2402.03300, eq. 3 |
| bnpo | over all tokens of the tensors given | – |
| dapo | over all tokens of the global batch | arXiv 2503.14476, eq. 8 |
| dr_grpo | sum over B · max_tokens | arXiv 2503.20783 |
| gspo | sequence ratio, length-normalised; mean over sequences | arXiv 2507.18071, eq. 5 |
| cispo | min(ρ, 1 + ε_high), detached, times A log π; over all tokens | arXiv 2506.13585, eq. 4 |

A dual clip c bounds the surrogate of negative advantages: max(min(…), c A) (Ye et al., arXiv
1912.09729, eq. 4). Where sampler and trainer compute different log-probs, truncated importance
sampling weighs each token by min(π_old / π_sampler, C), or each sequence by the product (Yao et
al., "Your efficient RL framework secretly brings you off-policy RL training", 2025).
"""

import dataclasses
import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Loss = Literal["grpo", "bnpo", "dapo", "dr_grpo", "gspo", "cispo"]
Kl = Literal["k1", "k2", "k3"]
Correction = Literal["none", "token", "sequence"]
LOSSES = ("grpo", "bnpo", "dapo", "dr_grpo", "gspo", "cispo")


@dataclasses.dataclass(frozen=True)
class Normalizer:
    """The size of the global batch, when the tensors given are only a part of it."""

    sequences: int
    tokens: int


@dataclasses.dataclass(frozen=True)
class LossOutput:
    """`loss`, a scalar with gradient; `metrics`, sums and extremes without gradient."""

    loss: Float[Tensor, ""]
    metrics: dict[str, Tensor]


def policy_loss(
    logprobs: Float[Tensor, "B T"],
    old_logprobs: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B"] | Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    ref_logprobs: Float[Tensor, "B T"] | None = None,
    loss: Loss = "grpo",
    epsilon: float = 0.2,
    epsilon_high: float | None = None,
    beta: float = 0.0,
    kl: Kl = "k3",
    max_tokens: int | None = None,
    whole: Normalizer | None = None,
    dual_clip: float | None = None,
    entropy: Float[Tensor, "B T"] | None = None,
    entropy_bonus: float = 0.0,
    sampler_logprobs: Float[Tensor, "B T"] | None = None,
    correction: Correction = "none",
    correction_cap: float = 2.0,
) -> LossOutput:
    """The loss of B completions; see the table above.

    `whole` gives the counts of the global batch where these B are a part of it, so that the
    gradients of the parts add up to the gradient of the whole (`bnpo` alone averages over the
    part, by definition). Metrics: `ratio_sum`, `ratio_max`, `clipped` (tokens cut by the clip),
    `kl_sum`, `tokens`. `entropy_bonus` times the mean `entropy` (with gradient) is subtracted.
    `correction` weighs by `sampler_logprobs`, see above, its weights at most `correction_cap`.
    Raises ValueError for an unknown loss, KL or correction, or when something is missing.
    """
    if loss not in LOSSES:
        raise ValueError(f"unknown loss '{loss}', expected one of {', '.join(LOSSES)}")
    if loss == "dr_grpo" and max_tokens is None:
        raise ValueError("dr_grpo divides by max_tokens, which is missing")
    if beta and ref_logprobs is None:
        raise ValueError("beta > 0 needs ref_logprobs")
    if dual_clip is not None and dual_clip <= 1:
        raise ValueError(f"dual_clip must be above 1, not {dual_clip}")
    if entropy_bonus and entropy is None:
        raise ValueError("an entropy bonus needs the entropy")
    mask = mask.to(logprobs.dtype)
    lengths = mask.sum(1).clamp(min=1)
    sequences = whole.sequences if whole else logprobs.shape[0]
    tokens = (whole.tokens if whole else int(mask.sum())) or 1
    high = 1 + (epsilon if epsilon_high is None else epsilon_high)
    low = 1 - epsilon
    if advantages.ndim == 1:  # one for all tokens of a completion
        advantages = advantages[:, None]

    log_ratio = (logprobs - old_logprobs) * mask
    if loss == "gspo":  # s = exp(mean log ρ); gradient through every token alike
        log_ratio = (log_ratio.sum(1, keepdim=True) / lengths[:, None]).expand_as(mask)
    ratio = log_ratio.exp()
    if loss == "cispo":
        per_token = -ratio.clamp(max=high).detach() * advantages * logprobs
        clipped = (ratio > high) & (advantages > 0)
    else:
        free, bounded = ratio * advantages, ratio.clamp(low, high) * advantages
        surrogate = torch.minimum(free, bounded)
        clipped = bounded < free
        if dual_clip is not None:
            floor = dual_clip * advantages
            clipped = clipped | ((surrogate < floor) & (advantages < 0))
            surrogate = torch.where(advantages < 0, torch.maximum(surrogate, floor), surrogate)
        per_token = -surrogate
    if correction != "none":
        per_token = per_token * sampler_weights(
            old_logprobs, sampler_logprobs, mask, correction, correction_cap
        )
    kl_tokens = torch.zeros_like(per_token)
    if ref_logprobs is not None:
        kl_tokens = kl_estimate(logprobs, ref_logprobs, kl) * mask
        per_token = per_token + beta * kl_tokens if beta else per_token
    if entropy_bonus and entropy is not None:
        per_token = per_token - entropy_bonus * entropy
    per_token = per_token * mask

    if loss in ("grpo", "gspo"):
        value = (per_token.sum(1) / lengths).sum() / sequences
    elif loss == "bnpo":
        value = per_token.sum() / mask.sum().clamp(min=1)
    elif loss == "dr_grpo":
        value = per_token.sum() / (sequences * (max_tokens or 1))
    else:
        value = per_token.sum() / tokens
    with torch.no_grad():
        inside = mask.bool()
        metrics = {
            "ratio_sum": (ratio * mask).sum(),
            "ratio_max": ratio.masked_fill(~inside, -math.inf).max(),
            "clipped": (clipped & inside).sum(),
            "kl_sum": kl_tokens.detach().sum(),
            "tokens": mask.sum(),
        }
    return LossOutput(value, metrics)


def sampler_weights(
    old_logprobs: Float[Tensor, "B T"],
    sampler_logprobs: Float[Tensor, "B T"] | None,
    mask: Float[Tensor, "B T"],
    correction: Correction,
    cap: float,
) -> Float[Tensor, "B T"] | Float[Tensor, "B 1"]:
    """Truncated importance weights min(π_old / π_sampler, cap), by token or by sequence."""
    if correction not in ("token", "sequence"):
        raise ValueError(f"unknown correction '{correction}', expected none, token or sequence")
    if sampler_logprobs is None:
        raise ValueError("the correction needs the sampler's log-probs")
    gap = ((old_logprobs - sampler_logprobs) * mask).detach()
    if correction == "sequence":
        gap = gap.sum(1, keepdim=True)
    return gap.exp().clamp(max=cap)


def kl_estimate(
    logprobs: Float[Tensor, "*S"], ref_logprobs: Float[Tensor, "*S"], kl: Kl = "k3"
) -> Float[Tensor, "*S"]:
    """KL(π_θ ‖ π_ref) per token from samples of π_θ, d = log π_θ − log π_ref.

    k1 = d, k2 = d²/2, k3 = e^(−d) + d − 1 (Schulman, "Approximating KL divergence", 2020).
    """
    difference = logprobs - ref_logprobs
    if kl == "k1":
        return difference
    if kl == "k2":
        return difference.square() / 2
    if kl == "k3":
        return torch.expm1(-difference) + difference
    raise ValueError(f"unknown KL estimator '{kl}', expected k1, k2 or k3")
