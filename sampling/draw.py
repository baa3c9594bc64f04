"""Tokens drawn from logits, under truncation, with their log-probs."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.shapes import B_V, B
from sampling.params import SamplingParams


def draw(
    logits: Float[Tensor, B_V],
    params: SamplingParams,
    uniforms: Float[Tensor, B],
) -> tuple[Int[Tensor, B], Float[Tensor, B]]:
    """Draw a token for each row by inverting the cumulative distribution at `uniforms`.

    Returns the tokens and their log-probs under the distribution drawn from.
    """
    if params.temperature == 0:
        tokens = logits.argmax(-1)
        return tokens, logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    logprobs = (logits / params.temperature).log_softmax(-1)
    logprobs = cut(logprobs, params.top_k, params.top_p, params.min_p)
    cumulative = logprobs.exp().cumsum(-1)
    tokens = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)
    tokens = tokens.clamp(max=logits.shape[1] - 1)
    return tokens[:, 0], logprobs.gather(1, tokens)[:, 0]


def cut(
    logprobs: Float[Tensor, B_V], top_k: int, top_p: float, min_p: float = 0.0
) -> Float[Tensor, B_V]:
    """Keep the `top_k` likeliest tokens, the fewest that hold `top_p`, and those at least `min_p`
    times as likely as the likeliest, renormalised."""
    if min_p > 0:
        least = logprobs.max(-1, keepdim=True).values + math.log(min_p)
        logprobs = logprobs.masked_fill(logprobs < least, float("-inf")).log_softmax(-1)
    if 0 < top_k < logprobs.shape[1]:
        least = logprobs.topk(top_k, dim=-1).values[:, -1:]
        logprobs = logprobs.masked_fill(logprobs < least, float("-inf")).log_softmax(-1)
    if top_p < 1:
        ordered, order = logprobs.sort(dim=-1, descending=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        ordered = ordered.masked_fill(before >= top_p, float("-inf"))
        logprobs = torch.empty_like(logprobs).scatter_(1, order, ordered).log_softmax(-1)
    return logprobs
