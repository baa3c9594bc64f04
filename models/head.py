"""From hidden states to logits, as each family does it: weight, bias, scale, soft cap."""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from common.shapes import ANY_L_V, ANY_L_d, V, V_d


@dataclasses.dataclass(frozen=True)
class Head:
    """logits = cap · tanh(scale · (h Wᵀ + b) / cap), without the parts a family does not have.

    `scale` is Cohere's logit_scale or one over Granite's logits_scaling; `cap` is Gemma's
    final_logit_softcapping.
    """

    weight: Float[Tensor, V_d]
    bias: Float[Tensor, V] | None = None
    scale: float = 1.0
    cap: float | None = None

    def logits(
        self, hidden: Float[Tensor, ANY_L_d], *, float32: bool = False
    ) -> Float[Tensor, ANY_L_V]:
        """The logits of hidden states, in float32 at least; `float32` multiplies in it too."""
        weight = self.weight.float() if float32 else self.weight
        logits = (hidden.float() if float32 else hidden) @ weight.T
        if self.bias is not None:
            logits = logits + self.bias
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.cap:
            logits = (logits / self.cap).tanh() * self.cap
        return logits


def causal_lm(model: Any) -> Any:
    """The causal LM itself, inside or outside of a PeftModel."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def head_of(model: Any) -> Head:
    """The output layer of a causal LM, with or without LoRA."""
    lm = causal_lm(model)
    layer, config = lm.get_output_embeddings(), lm.config.get_text_config()
    return Head(
        layer.weight,
        getattr(layer, "bias", None),
        float(getattr(config, "logit_scale", None) or 1.0)
        * float(getattr(config, "lm_head_multiplier", None) or 1.0)
        / float(getattr(config, "logits_scaling", None) or 1.0),
        getattr(config, "final_logit_softcapping", None),
    )
