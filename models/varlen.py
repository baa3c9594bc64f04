"""Attention over packed sequences in one kernel: no mask, no padding, no repeated keys.

The packed tokens are segments, prompts and completions, in their order. The queries of a segment
are its own tokens; its keys are gathered as `[prompt; own]`, so that a causal kernel which counts
from the end (as flash-attention does) lets a completion see its prompt and its own past.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

# (query [L, H, D], key and value [M, Hk, D], starts of queries [S+1], of keys [S+1], longest of
# each, scale) -> [L, H, D]
Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int, int, float], Tensor]


class Segments:
    """Which queries and keys belong together; the layout of models/packed.py for such a kernel."""

    def __init__(
        self,
        prompts: Sequence[tuple[int, int]],
        completions: Sequence[tuple[int, int, int, int]],
        device: Any,
        kernel: Kernel | None = None,
    ):
        """`prompts`: start and length of each; `completions`: those of its prompt, then its own.

        `kernel` stands in for flash-attention where that cannot run.
        """
        self._kernel = kernel or _flash
        segments = [(a, n, a, 0) for a, n in prompts]  # own start and length, its prompt's
        segments += [(b, m, a, n) for a, n, b, m in completions if m]
        segments.sort()  # packed order
        queries = [m for _, m, _, _ in segments]
        keys = [n + m for _, m, _, n in segments]
        parts = [torch.arange(x, x + k) for b, m, a, n in segments for x, k in ((a, n), (b, m))]
        self._index = torch.cat(parts).to(device)
        self._query_starts, self._key_starts = (
            torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
            for lengths in (queries, keys)
        )
        self._longest = max(queries), max(keys)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention for packed `query [H, L, D]`, `key` and `value [Hk, L, D]`: `[L, H, D]`."""
        q, k, v = (x.transpose(0, 1) for x in (query, key, value))
        starts = self._query_starts, self._key_starts
        return self._kernel(
            q.contiguous(), k[self._index], v[self._index], *starts, *self._longest, scale
        )


def _flash(
    query: Tensor, key: Tensor, value: Tensor,
    query_starts: Tensor, key_starts: Tensor, longest_query: int, longest_key: int, scale: float,
) -> Tensor:  # fmt: skip
    from torch.nn.attention.varlen import varlen_attn

    out = varlen_attn(
        query, key, value, query_starts, key_starts, longest_query, longest_key,
        scale=scale, window_size=(-1, 0), enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    assert isinstance(out, Tensor)
    return out


def may_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether flash-attention may run there; whether it is right there, the self-test says."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    return torch.cuda.get_device_capability(device)[0] >= 8
