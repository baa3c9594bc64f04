"""What each loss of the GRPO family makes of a token, before anything is averaged.

With ratio ρ = π_θ / π_old per token and advantage A, each is a loss whose gradient is −A ∇log π_θ
where ρ = 1; they differ in what they do where the policy has moved:

| loss | a token's loss | source |
|---|---|---|
| grpo, bnpo, dapo, dr_grpo | −min(ρ A, clip(ρ, 1 − ε, 1 + ε_high) A) | PPO, arXiv 1707.06347, eq. 7 |
| gspo | the same, ρ the sequence's: exp(mean log ρ) | arXiv 2507.18071, eq. 5 |
| cispo | −min(ρ, 1 + ε_high) A log π_θ, the ratio detached | arXiv 2506.13585, eq. 4 |
| gmpo | −A exp(mean of log ρ), each log ρ held at ε_high in the direction of A | arXiv 2507.20673 |
| sapo | −A (4/τ) σ(τ (ρ − 1)), τ by the sign of A | arXiv 2511.20347 |

A dual clip c bounds the surrogate of negative advantages: max(min(…), c A) (Ye et al., arXiv
1912.09729, eq. 4).
"""  # noqa: E501

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common.errors import UserError
from common.shapes import B_1, B_T

UserLoss = Callable[..., Tensor]


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How far a ratio may move the policy."""

    low: float = 0.2  # ε
    high: float = 0.2  # ε_high
    dual: float | None = None
    temperatures: tuple[float, float] = (1.0, 1.05)  # SAPO's τ for A > 0 and for A ≤ 0


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """A loss for each token, the ratio it was made of, and where that was cut."""

    per_token: Float[Tensor, B_T]
    ratio: Float[Tensor, B_T]
    clipped: Bool[Tensor, B_T]


def surrogate(
    loss: str | UserLoss,
    logprobs: Float[Tensor, B_T],
    old_logprobs: Float[Tensor, B_T],
    advantages: Float[Tensor, B_1] | Float[Tensor, B_T],
    mask: Float[Tensor, B_T],
    bounds: Bounds,
) -> Surrogate:
    """The loss of each token by the table above; outside the mask its value means nothing."""
    log_ratio = (logprobs - old_logprobs) * mask
    if callable(loss):
        return _of_user(loss, logprobs, old_logprobs, advantages, mask, bounds)
    if loss == "gmpo":
        return _gmpo(log_ratio, advantages, mask, bounds)
    if loss == "gspo":  # gradient through every token alike
        log_ratio = _mean(log_ratio, mask)
    ratio = log_ratio.exp()
    if loss == "sapo":
        return _sapo(ratio, advantages, bounds)
    if loss == "cispo":
        per_token = -ratio.clamp(max=1 + bounds.high).detach() * advantages * logprobs
        return Surrogate(per_token, ratio, (ratio > 1 + bounds.high) & (advantages > 0))
    return _clipped(ratio, advantages, bounds)


def _mean(log_ratio: Tensor, mask: Tensor) -> Tensor:
    """The mean over each sequence, for each of its tokens."""
    lengths = mask.sum(1, keepdim=True).clamp(min=1)
    return (log_ratio.sum(1, keepdim=True) / lengths).expand_as(mask)


def _clipped(ratio: Tensor, advantages: Tensor, bounds: Bounds) -> Surrogate:
    free = ratio * advantages
    bounded = ratio.clamp(1 - bounds.low, 1 + bounds.high) * advantages
    gain, cut = torch.minimum(free, bounded), bounded < free
    if bounds.dual is not None:
        floor = bounds.dual * advantages
        cut = cut | ((gain < floor) & (advantages < 0))
        gain = torch.where(advantages < 0, torch.maximum(gain, floor), gain)
    return Surrogate(-gain, ratio, cut)


def _gmpo(log_ratio: Tensor, advantages: Tensor, mask: Tensor, bounds: Bounds) -> Surrogate:
    sign = torch.where(advantages > 0, 1.0, -1.0).to(mask.dtype).expand_as(mask)
    directed = sign * log_ratio
    held = sign * directed.clamp(max=bounds.high)
    ratio = _mean(held * mask, mask).exp()
    return Surrogate(-ratio * advantages, ratio, directed > bounds.high)


def _sapo(ratio: Tensor, advantages: Tensor, bounds: Bounds) -> Surrogate:
    positive, negative = bounds.temperatures
    tau = torch.full_like(ratio, negative).masked_fill(advantages > 0, positive)
    gate = 4 / tau * torch.sigmoid(tau * (ratio - 1))
    return Surrogate(-gate * advantages, ratio, torch.zeros_like(ratio, dtype=torch.bool))


def _of_user(
    loss: UserLoss,
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    bounds: Bounds,
) -> Surrogate:
    """A loss of the user's: a tensor `[B, T]`, one number a token; all else stays ours."""
    inside = mask.bool()
    made = loss(
        logprobs,
        old_logprobs,
        advantages.expand_as(mask),
        inside,
        epsilon=bounds.low,
        epsilon_high=bounds.high,
    )
    if not isinstance(made, Tensor) or made.shape != mask.shape:
        shape = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise UserError(
            f"algorithm.loss: the function must return one loss a token, {tuple(mask.shape)}, "
            f"not {shape}"
        )
    ratio = ((logprobs - old_logprobs) * mask).exp().detach()
    per_token = made.masked_fill(~inside, 0.0)
    return Surrogate(per_token, ratio, torch.zeros_like(inside))
