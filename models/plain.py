"""The plain path: any causal LM of transformers, with its own attention.

Prompts are not shared and rows are padded on the right, where nothing before them sees it:
slower than models/packed.py, and right for every family whose forward is causal.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.shapes import B_T, B_d, L_d
from models.head import causal_lm, head_of
from models.packed import ATTENTION, FUSED, PackedGroups, hidden_states

CACHE_PROVED = "mathgrpo_cache_proved"  # on a causal LM: whether PlainCache may use its own cache


def shares_prompts(model: Any) -> bool:
    """Whether the model has been given the attention of models/packed.py."""
    return causal_lm(model).config._attn_implementation in (ATTENTION, FUSED)


def states_of(model: Any, layout: PackedGroups) -> Float[Tensor, L_d]:
    """The last hidden states of the packed tokens, by the path that is the model's."""
    if shares_prompts(model):
        return hidden_states(model, layout.ids, layout.positions, layout)
    rows, mask = layout.rows()  # [S, T] packed positions of whole sequences
    ids = torch.where(mask, layout.ids[rows], 0)
    out = causal_lm(model).get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    # A prompt's tokens stand in several rows, alike in each: the first row gives them.
    first = torch.full_like(layout.ids, rows.numel())
    places = torch.arange(rows.numel(), device=rows.device)[mask.flatten()]
    first = first.scatter_reduce(0, rows[mask], places, "amin")
    return out.flatten(0, 1)[first]


class PlainCache:
    """Decoding by the model's own cache: prompts of one length, each of their sequences a row.

    A model whose own cache is not proved (models/selftest.py) computes its rows anew each time.
    """

    def __init__(self, model: Any, prompts: list[list[int]], n: int):
        lm = causal_lm(model)
        self.decoder = lm.get_decoder()
        self._caches = getattr(lm, CACHE_PROVED, True)
        device = head_of(model).weight.device
        self._prompts = torch.tensor(prompts, device=device).repeat_interleave(n, 0)
        self._past: Any = None
        self._ids = self._prompts[:, :0]

    def first(self) -> Float[Tensor, B_d]:
        """The hidden states after the prompts."""
        return self.next(self._prompts)

    def next(self, ids: Int[Tensor, B_T]) -> Float[Tensor, B_d]:
        """The hidden states after tokens that follow."""
        if not self._caches:
            self._ids = torch.cat([self._ids, ids], 1)
            return self.decoder(input_ids=self._ids, use_cache=False).last_hidden_state[:, -1]
        out = self.decoder(input_ids=ids, past_key_values=self._past, use_cache=True)
        self._past = out.past_key_values
        return out.last_hidden_state[:, -1]
