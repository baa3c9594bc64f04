"""Log-probs and entropies of chosen tokens from hidden states, a few tokens at a time.

The logits of a whole batch would be a `[tokens, V]` float32 tensor, often larger than the model.
Here they exist for one chunk only, in the forward and again, recomputed, in the backward pass;
where one chunk holds them all, they are kept.
"""

import contextlib
import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from common.shapes import L, L_d
from models.head import Head
from sampling.draw import cut

CHUNK_ELEMENTS = 1 << 24  # logits held at once: 64 MiB in float32
CHUNK_ON_GPU = 1 << 27  # 512 MiB: with V = 152k 880 tokens, not 110, are computed by one kernel


@dataclasses.dataclass(frozen=True)
class Truncation:
    """Which tokens the sampler kept, by the sampler's own rules (`sampling.draw.cut`)."""

    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


def chunk_elements(device: str) -> int:
    """How many logits are held at once on a kind of device."""
    return CHUNK_ON_GPU if device == "cuda" else CHUNK_ELEMENTS


def token_logprobs(
    hidden: Float[Tensor, L_d],
    head: Head,
    targets: Int[Tensor, L],
    temperature: float = 1.0,
    *,
    entropy_gradient: bool = False,
    truncation: Truncation | None = None,
    float32: bool = False,
) -> tuple[Float[Tensor, L], Float[Tensor, L]]:
    """Log-prob of each target and entropy (nats) of its distribution, with gradient if asked.

    Both are of softmax(logits / temperature), in float32 at least; with a `truncation`, of what it
    keeps of that, and the target always, renormalised. What is kept has no gradient. `float32`
    computes the logits themselves in float32 (MiniMax-M1, arXiv 2506.13585, section 3.2).
    """
    size = max(1, chunk_elements(hidden.device.type) // head.weight.shape[0])
    learns = torch.is_grad_enabled() and (hidden.requires_grad or head.weight.requires_grad)
    several = hidden.shape[0] > size  # one chunk may stay: its backward pass is the next thing
    logprobs, entropies = [], []
    for begin in range(0, hidden.shape[0], size):
        part = slice(begin, begin + size)
        inputs = (hidden[part], head, targets[part], temperature, entropy_gradient)
        if learns and several:
            logprob, entropy = checkpoint(_chunk, *inputs, truncation, float32, use_reentrant=False)
        else:
            logprob, entropy = _chunk(*inputs, truncation, float32)
        logprobs.append(logprob)
        entropies.append(entropy)
    if not logprobs:
        return hidden.new_zeros(0), hidden.new_zeros(0)
    return torch.cat(logprobs), torch.cat(entropies)


def _chunk(
    hidden: Tensor,
    head: Head,
    targets: Tensor,
    temperature: float,
    entropy_gradient: bool,
    truncation: Truncation | None,
    float32: bool,
) -> tuple[Tensor, Tensor]:
    logits = head.logits(hidden, float32=float32)
    if temperature != 1.0:
        logits = logits / temperature
    chosen = logits.gather(1, targets[:, None])[:, 0]
    kept = logits if truncation is None else _masked(logits, targets, truncation)
    logsumexp = kept.logsumexp(-1)
    logprobs = chosen - logsumexp
    with contextlib.nullcontext() if entropy_gradient else torch.no_grad():
        expected = torch.linalg.vecdot((kept - logsumexp[:, None]).exp(), logits)
        entropy = logsumexp - expected
    return logprobs, entropy


def _masked(logits: Tensor, targets: Tensor, truncation: Truncation) -> Tensor:
    return logits.masked_fill(_left(logits, targets, truncation), -torch.inf)


@torch.no_grad()
def _left(logits: Tensor, targets: Tensor, truncation: Truncation) -> Tensor:
    """Which tokens the sampler would not have drawn `[L, V]`; never the target."""
    found = cut(logits.log_softmax(-1), truncation.top_k, truncation.top_p, truncation.min_p)
    return found.isneginf().scatter(1, targets[:, None], False)
