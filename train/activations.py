"""What a layer keeps for the backward pass, counted on the shape of the model alone.

A model of one and of two layers goes through the real forward with its LoRA adapter, on the meta
device, where tensors have sizes and no contents; what autograd saves is counted, each buffer once.
"""

import copy
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from models.packed import ATTENTION, hidden_states
from train.config.sections import Lora
from train.policy import add_lora

FALLBACK = 36  # tensors of the model's width a layer, as in a Llama or Qwen2
TOKENS = 64, 128  # the slope between these leaves out what does not grow with the tokens


class _Saved(torch.autograd.Function):
    """Attention that computes nothing and saves what flash-attention does."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = query.new_empty(query.shape[1], query.shape[0], value.shape[2])
        ctx.save_for_backward(query, key, value, out)
        return out

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        raise NotImplementedError


class _Counting:
    """A layout that only counts."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        return _Saved.apply(query, key, value)


def layer_bytes(shape: Any, lora: Lora, dtype: torch.dtype) -> float:
    """Bytes that a layer keeps for each token; an average where the family cannot be counted.

    `shape` is a configuration of transformers, `dtype` that of the weights.
    """
    try:
        counts = [
            [_saved(_cut(shape, layers), lora, dtype, tokens) for tokens in TOKENS]
            for layers in (1, 2)
        ]
    except Exception:  # a family whose forward is its own, or needs more than a shape
        return FALLBACK * shape.get_text_config().hidden_size * dtype.itemsize
    slopes = [(more - less) / (TOKENS[1] - TOKENS[0]) for less, more in counts]
    return slopes[1] - slopes[0]


def _cut(shape: Any, layers: int) -> Any:
    cut = copy.deepcopy(shape)
    cut.num_hidden_layers = layers
    if kinds := getattr(cut, "layer_types", None):
        cut.layer_types = kinds[:layers]
    return cut


def _saved(shape: Any, lora: Lora, dtype: torch.dtype, tokens: int) -> int:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape, dtype=dtype)
        model.set_attn_implementation(ATTENTION)
        adapted = add_lora(model, lora, 0).train()
        ids = torch.zeros(tokens, dtype=torch.long)
    own = {x.untyped_storage()._cdata for x in (*adapted.parameters(), *adapted.buffers())}
    kept: dict[int, Any] = {}

    def note(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no other takes its place
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        hidden_states(adapted, ids, ids, _Counting())
    return sum(storage.nbytes() for storage in kept.values())
