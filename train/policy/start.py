"""The adapter that training starts from: a fresh one, or the one that `model.adapter` names."""

from typing import Any

from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from models.loading import load_adapter
from train.config.sections import Lora, Model, SftModel
from train.policy.policy import add_lora


def start_lora(base: Any, model: Model | SftModel, lora: Lora, seed: int) -> PeftModel:
    """The base with the adapter to start from; a fresh one follows from `seed`.

    Raises UserError where an adapter does not fit.
    """
    if model.adapter is None:
        return add_lora(base, lora, seed)
    adapted = load_adapter(base, model.adapter, str(model.path), train=True)
    adapted.peft_config["default"].lora_dropout = lora.dropout
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            drop = nn.Dropout(lora.dropout) if lora.dropout else nn.Identity()
            layer.lora_dropout["default"] = drop
    return adapted
