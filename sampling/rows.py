"""The key/value cache of a batch whose rows come and go between two tokens."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from common.shapes import B, B_Hk_C_D, B_Hk_W_D
from sampling.decode import PromptPass


class RowCache:
    """Keys and values of B sequences, each `[Hk, C, D]`; the layout of one token more in each."""

    def __init__(self, device: torch.device | str):
        self.lengths: Int[Tensor, B] = torch.zeros(0, dtype=torch.long, device=device)
        self.keys: dict[int, Float[Tensor, B_Hk_C_D]] = {}
        self.values: dict[int, Float[Tensor, B_Hk_C_D]] = {}

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of the newest token of each row: `[B, H, D]`."""
        keys, values = self.keys[layer], self.values[layer]
        rows = torch.arange(len(self.lengths), device=query.device)
        keys[rows, :, self.lengths] = key.transpose(0, 1)
        values[rows, :, self.lengths] = value.transpose(0, 1)
        now = int(self.lengths.max()) + 1
        seen = torch.arange(now, device=query.device) <= self.lengths[:, None]
        out = F.scaled_dot_product_attention(
            query.transpose(0, 1)[:, :, None],
            keys[:, :, :now],
            values[:, :, :now],
            attn_mask=seen[:, None, None],
            scale=scale,
            enable_gqa=True,
        )
        return out[:, :, 0]

    def make_room(self) -> None:
        """Let every row take a token more."""
        capacity = next(iter(self.keys.values())).shape[2] if self.keys else 0
        if len(self.lengths) and int(self.lengths.max()) >= capacity:
            self._widen(2 * capacity)

    def join(self, prompts: PromptPass, times: list[int]) -> None:
        """Rows more: each prompt as often as `times` says."""
        repeats = torch.tensor(times, device=self.lengths.device)
        for cache, new in ((self.keys, prompts.keys), (self.values, prompts.values)):
            for layer, mine in new.items():
                mine = mine.repeat_interleave(repeats, 0)
                if layer in cache:
                    width = max(cache[layer].shape[2], mine.shape[2])
                    mine = torch.cat([_padded(cache[layer], width), _padded(mine, width)])
                cache[layer] = mine.contiguous()
        self.lengths = torch.cat([self.lengths, prompts.lengths.repeat_interleave(repeats)])

    def keep(self, rows: list[int]) -> None:
        """Let all other rows go."""
        index = torch.tensor(rows, dtype=torch.long, device=self.lengths.device)
        self.lengths = self.lengths[index]
        for cache in (self.keys, self.values):
            for layer, kept in cache.items():
                cache[layer] = kept[index]

    def _widen(self, capacity: int) -> None:
        for cache in (self.keys, self.values):
            for layer, kept in cache.items():
                cache[layer] = _padded(kept, capacity)


def _padded(rows: Float[Tensor, B_Hk_C_D], width: int) -> Float[Tensor, B_Hk_W_D]:
    return F.pad(rows, (0, 0, 0, width - rows.shape[2])) if rows.shape[2] < width else rows
