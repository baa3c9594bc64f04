"""Batched decoding with shared prompts: the key/value cache and the random numbers.

The running sequences form a rectangle `[P, N]`: N places for each of P prompts. The keys and
values of a prompt are kept once and read by all its completions; those of the completions grow
by one column a step. As sequences finish, the rectangle shrinks.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from common.shapes import ANY_S, P2, P2_N2, P_N, P, P_Hk_Tp_D, P_N_Hk_C_D, P_Tp
from models.packed import PackedGroups


class PromptPass(PackedGroups):
    """The prompts alone, packed; keeps each layer's keys and values `[P, Hk, Tp, D]`."""

    def __init__(self, prompts: list[list[int]], device: torch.device | str):
        super().__init__(prompts, [[] for _ in prompts], device)
        self.fused = self  # keys and values pass through `attend`
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.prompt_mask: Bool[Tensor, P_Tp] = self._prompt_mask
        self.lengths: Int[Tensor, P] = self._prompt_mask.sum(1)
        self.ends: Int[Tensor, P] = self._prompt_index.gather(1, self.lengths[:, None] - 1)[:, 0]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        self.keys[layer] = key[:, self._prompt_index].transpose(0, 1).contiguous()
        self.values[layer] = value[:, self._prompt_index].transpose(0, 1).contiguous()
        return super().attend(layer, query, key, value, scale)


class DecodeCache:
    """Keys and values of a rectangle of running sequences; the layout of one decoding step."""

    def __init__(self, prompts: PromptPass, n: int):
        self.prompt_keys = prompts.keys
        self.prompt_values = prompts.values
        self.hidden = ~prompts.prompt_mask  # padding among the prompt keys
        self.n = n
        self.step = 0
        self.capacity = 32
        self.keys = {layer: self._room(k) for layer, k in prompts.keys.items()}
        self.values = {layer: self._room(v) for layer, v in prompts.values.items()}

    def _room(self, prompt: Float[Tensor, P_Hk_Tp_D]) -> Float[Tensor, P_N_Hk_C_D]:
        p, heads, _, depth = prompt.shape
        return prompt.new_zeros(p, self.n, heads, self.capacity, depth)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        prompt_k, prompt_v = self.prompt_keys[layer], self.prompt_values[layer]
        p, kv_heads, tp, depth = prompt_k.shape
        wide = prompt_v.shape[3]  # DeepSeek's values are not as wide as its keys
        n, repeat, now = self.n, query.shape[0] // kv_heads, self.step + 1
        self.keys[layer][:, :, :, self.step] = key.transpose(0, 1).view(p, n, kv_heads, depth)
        self.values[layer][:, :, :, self.step] = value.transpose(0, 1).view(p, n, kv_heads, wide)

        q = query.view(kv_heads, repeat, p, n, depth) * scale
        shared_q = q.permute(2, 0, 3, 1, 4).reshape(p, kv_heads, n * repeat, depth)
        shared = (shared_q @ prompt_k.transpose(2, 3)).masked_fill(
            self.hidden[:, None, None], float("-inf")
        )
        shared = shared.view(p, kv_heads, n, repeat, tp).transpose(1, 2)  # [P, N, Hk, r, Tp]
        own_q = q.permute(2, 3, 0, 1, 4)
        own = own_q @ self.keys[layer][:, :, :, :now].transpose(3, 4)  # [P, N, Hk, r, t]

        weights = torch.cat([shared, own], dim=-1).float().softmax(-1).to(query.dtype)
        shared_w = weights[..., :tp].transpose(1, 2).reshape(p, kv_heads, n * repeat, tp)
        out = (shared_w @ prompt_v).view(p, kv_heads, n, repeat, wide).transpose(1, 2)
        out = out + weights[..., tp:] @ self.values[layer][:, :, :, :now]
        return out.reshape(p * n, kv_heads * repeat, wide)

    def advance(self) -> None:
        """Move to the next step, making room for its keys and values."""
        self.step += 1
        if self.step == self.capacity:
            for cache in (self.keys, self.values):
                for layer, kept in cache.items():
                    cache[layer] = torch.cat([kept, torch.zeros_like(kept)], dim=3)
            self.capacity *= 2

    def keep(self, rows: Int[Tensor, P2], places: Int[Tensor, P2_N2]) -> None:
        """Shrink the rectangle to the prompts `rows` and, in each, the places `places`."""
        self.n = places.shape[1]
        self.hidden = self.hidden[rows]
        for cache in (self.prompt_keys, self.prompt_values):
            for layer, kept in cache.items():
                cache[layer] = kept[rows]
        for cache in (self.keys, self.values):
            for layer, kept in cache.items():
                cache[layer] = kept[rows[:, None], places]


def shrink(running: Bool[Tensor, P_N]) -> tuple[Tensor, Tensor] | None:
    """The rows and places of the smallest rectangle that holds all running sequences.

    None while it would save less than a quarter. Places that fill up the rectangle are finished
    sequences.
    """
    rows = running.any(1).nonzero()[:, 0]
    width = int(running.sum(1).max())
    if len(rows) * width > 0.75 * running.numel():
        return None
    order = running[rows].to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return rows, order[:, :width]


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >= 1 << 63 else constant


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of 64-bit integers."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def mix(x: Int[Tensor, ANY_S]) -> Int[Tensor, ANY_S]:
    """SplitMix64's finaliser (Steele, Lea and Flood, 2014): well-mixed bits of a counter."""
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def uniform(keys: Int[Tensor, ANY_S], step: int | Int[Tensor, ANY_S]) -> Float[Tensor, ANY_S]:
    """A number in [0, 1) for each key and step, the same wherever the sequence travels."""
    bits = mix(keys + ((step + 1) * _signed(0x9E3779B97F4A7C15) & ((1 << 63) - 1)))
    return _shift(bits, 40).to(torch.float32) / (1 << 24)
