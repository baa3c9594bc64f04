"""Log-probs and entropies of chosen tokens from hidden states, a few tokens at a time.

The logits of a whole batch would be a `[tokens, V]` float32 tensor, often larger than the model.
Here they exist for one chunk only, in the forward and again, recomputed, in the backward pass.
"""

import contextlib

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_ELEMENTS = 1 << 24  # logits held at once: 64 MiB in float32


def token_logprobs(
    hidden: Float[Tensor, "L d"],
    weight: Float[Tensor, "V d"],
    targets: Int[Tensor, "L"],
    temperature: float = 1.0,
    *,
    entropy_gradient: bool = False,
) -> tuple[Float[Tensor, "L"], Float[Tensor, "L"]]:
    """Log-prob of each target and entropy (nats) of its distribution, with gradient if asked.

    Both are of softmax(logits / temperature), in float32.
    """
    size = max(1, CHUNK_ELEMENTS // weight.shape[0])
    logprobs, entropies = [], []
    for begin in range(0, hidden.shape[0], size):
        part = slice(begin, begin + size)
        inputs = (hidden[part], weight, targets[part], temperature, entropy_gradient)
        if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
            logprob, entropy = checkpoint(_chunk, *inputs, use_reentrant=False)
        else:
            logprob, entropy = _chunk(*inputs)
        logprobs.append(logprob)
        entropies.append(entropy)
    if not logprobs:
        return hidden.new_zeros(0), hidden.new_zeros(0)
    return torch.cat(logprobs), torch.cat(entropies)


def _chunk(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, entropy_gradient: bool
) -> tuple[Tensor, Tensor]:
    logits = (hidden @ weight.T).float()
    if temperature != 1.0:
        logits = logits / temperature
    logsumexp = logits.logsumexp(-1)
    logprobs = logits.gather(1, targets[:, None])[:, 0] - logsumexp
    with contextlib.nullcontext() if entropy_gradient else torch.no_grad():
        expected = torch.linalg.vecdot((logits - logsumexp[:, None]).exp(), logits)
        entropy = logsumexp - expected
    return logprobs, entropy
