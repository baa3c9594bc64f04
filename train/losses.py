"""The policy losses of the GRPO family, each a pure function of log-probs and advantages.

What a token's loss is stands in `train/surrogates.py`; the losses also differ in what they average
over:

| loss | average | source |
|---|---|---|
| grpo, gspo, gmpo, sapo | over each sequence, then over sequences | arXiv 2402.03300, eq. 3 |
| bnpo | over all tokens that are trained on | – |
| dapo, cispo, a user's | over all tokens of the global batch | arXiv 2503.14476, eq. 8 |
| dr_grpo | sum over B · max_tokens | arXiv 2503.20783 |

Where sampler and trainer compute different log-probs, `train/correction.py` weighs the tokens.
"""

import dataclasses
import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.shapes import ANY_S, B_T, SCALAR, B
from train.correction import Correction, sampler_weights
from train.surrogates import Bounds, Surrogate, UserLoss, surrogate

Kl = Literal["k1", "k2", "k3"]
LOSSES = ("grpo", "bnpo", "dapo", "dr_grpo", "gspo", "cispo", "gmpo", "sapo")
BY_SEQUENCE = ("grpo", "gspo", "gmpo", "sapo")


@dataclasses.dataclass(frozen=True)
class Normalizer:
    """The size of the global batch, when the tensors given are only a part of it."""

    sequences: int
    tokens: int
    trained: int | None = None  # the tokens that are passed, of those that count; None: all


@dataclasses.dataclass(frozen=True)
class LossOutput:
    """`loss`, a scalar with gradient; `metrics`, sums and extremes without gradient."""

    loss: Float[Tensor, SCALAR]
    metrics: dict[str, Tensor]


def policy_loss(
    logprobs: Float[Tensor, B_T],
    old_logprobs: Float[Tensor, B_T],
    advantages: Float[Tensor, B] | Float[Tensor, B_T],
    mask: Bool[Tensor, B_T],
    *,
    ref_logprobs: Float[Tensor, B_T] | None = None,
    loss: str | UserLoss = "grpo",
    epsilon: float = 0.2,
    epsilon_high: float | None = None,
    beta: float = 0.0,
    kl: Kl = "k3",
    max_tokens: int | None = None,
    whole: Normalizer | None = None,
    dual_clip: float | None = None,
    entropy: Float[Tensor, B_T] | None = None,
    entropy_bonus: float = 0.0,
    sampler_logprobs: Float[Tensor, B_T] | None = None,
    correction: Correction = "none",
    correction_cap: float = 2.0,
    correction_floor: float | None = None,
    correction_mask: bool = False,
    exact_logprobs: Float[Tensor, B_T] | None = None,
    sapo_temperatures: tuple[float, float] = (1.0, 1.05),
) -> LossOutput:
    """The loss of B completions; see the table above.

    `whole` gives the counts of the global batch where these B are a part of it, so that the
    gradients of the parts add up to the gradient of the whole. `loss` may be a function of
    (log-probs, old log-probs, advantages, mask, epsilon=, epsilon_high=) that returns `[B, T]`.
    `entropy_bonus` times the mean `entropy` (with gradient) is subtracted. `correction` weighs by
    `sampler_logprobs` against `exact_logprobs` (by default the old ones). Metrics: `ratio_sum`,
    `ratio_max`, `clipped` (tokens cut by the clip), `kl_sum`, `tokens`, and with a correction
    `weight_sum` and `dropped` (tokens of weight 0). Raises ValueError for an unknown loss, KL or
    correction, or when something is missing.
    """
    _refuse(loss, max_tokens, beta, ref_logprobs, dual_clip, entropy_bonus, entropy)
    mask = mask.to(logprobs.dtype)
    if advantages.ndim == 1:  # one for all tokens of a completion
        advantages = advantages[:, None]
    high = epsilon if epsilon_high is None else epsilon_high
    bounds = Bounds(epsilon, high, dual_clip, sapo_temperatures)
    made = surrogate(loss, logprobs, old_logprobs, advantages, mask, bounds)
    per_token, sums = made.per_token, dict[str, Tensor]()
    if correction != "none":
        exact = old_logprobs if exact_logprobs is None else exact_logprobs
        weights = sampler_weights(
            exact, sampler_logprobs, mask, correction, correction_cap, correction_floor,
            drop=correction_mask,
        )  # fmt: skip
        per_token = per_token * weights
        sums = {"weight_sum": (weights * mask).sum(), "dropped": ((weights == 0) * mask).sum()}
    kl_tokens = torch.zeros_like(per_token)
    if ref_logprobs is not None:
        kl_tokens = kl_estimate(logprobs, ref_logprobs, kl) * mask
        per_token = per_token + beta * kl_tokens if beta else per_token
    if entropy_bonus and entropy is not None:
        per_token = per_token - entropy_bonus * entropy
    value = _averaged(loss, per_token * mask, mask, whole, max_tokens)
    return LossOutput(value, sums | _token_sums(made, kl_tokens, mask))


@torch.no_grad()
def _token_sums(made: Surrogate, kl_tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The sums over tokens, and the extreme, that every loss reports."""
    inside = mask.bool()
    return {
        "ratio_sum": (made.ratio * mask).sum(),
        "ratio_max": made.ratio.masked_fill(~inside, -math.inf).max(),
        "clipped": (made.clipped & inside).sum(),
        "kl_sum": kl_tokens.detach().sum(),
        "tokens": mask.sum(),
    }


def _averaged(
    loss: str | UserLoss,
    per_token: Float[Tensor, B_T],
    mask: Float[Tensor, B_T],
    whole: Normalizer | None,
    max_tokens: int | None,
) -> Float[Tensor, SCALAR]:
    """The part of the average that these tokens make; see the table above."""
    sequences = whole.sequences if whole else mask.shape[0]
    tokens = (whole.tokens if whole else int(mask.sum())) or 1
    if loss in BY_SEQUENCE:
        return (per_token.sum(1) / mask.sum(1).clamp(min=1)).sum() / sequences
    if loss == "dr_grpo":
        return per_token.sum() / (sequences * (max_tokens or 1))
    if loss == "bnpo" and whole:
        tokens = whole.trained or whole.tokens
    return per_token.sum() / tokens


def _refuse(
    loss: str | UserLoss,
    max_tokens: int | None,
    beta: float,
    ref_logprobs: Tensor | None,
    dual_clip: float | None,
    entropy_bonus: float,
    entropy: Tensor | None,
) -> None:
    if not callable(loss) and loss not in LOSSES:
        raise ValueError(f"unknown loss '{loss}', expected one of {', '.join(LOSSES)}")
    if loss == "dr_grpo" and max_tokens is None:
        raise ValueError("dr_grpo divides by max_tokens, which is missing")
    if beta and ref_logprobs is None:
        raise ValueError("beta > 0 needs ref_logprobs")
    if dual_clip is not None and dual_clip <= 1:
        raise ValueError(f"dual_clip must be above 1, not {dual_clip}")
    if entropy_bonus and entropy is None:
        raise ValueError("an entropy bonus needs the entropy")


def kl_estimate(
    logprobs: Float[Tensor, ANY_S], ref_logprobs: Float[Tensor, ANY_S], kl: Kl = "k3"
) -> Float[Tensor, ANY_S]:
    """KL(π_θ ‖ π_ref) per token from samples of π_θ, d = log π_θ − log π_ref.

    k1 = d, k2 = d²/2, k3 = e^(−d) + d − 1 (Schulman, "Approximating KL divergence", 2020).

    As values, k1 and k3 are unbiased. As losses on samples of π_θ they teach something else: the
    expected gradient of k1 is 0, as E[∇ log π_θ] = 0; that of k2, E[d ∇ log π_θ], is the gradient
    of KL(π_θ ‖ π_ref); that of k3, E[(1 − e^(−d)) ∇ log π_θ], is the gradient of
    KL(π_ref ‖ π_θ).
    """
    difference = logprobs - ref_logprobs
    if kl == "k1":
        return difference
    if kl == "k2":
        return difference.square() / 2
    if kl == "k3":
        return torch.expm1(-difference) + difference
    raise ValueError(f"unknown KL estimator '{kl}', expected k1, k2 or k3")
