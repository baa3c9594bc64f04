"""The policy: a base model with one trainable LoRA adapter; switched off, it is the reference."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor

from common.errors import UserError
from sampling.packed import PackedGroups, hidden_states, output_weight
from train.config import Lora
from train.logprobs import token_logprobs


def add_lora(base: Any, settings: Lora, seed: int) -> PeftModel:
    """A fresh LoRA adapter (float32) on the frozen base; its first output equals the base's."""
    device = output_weight(base).device
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        try:
            return get_peft_model(
                base,
                LoraConfig(
                    r=settings.rank,
                    lora_alpha=settings.alpha,  # type: ignore[arg-type]
                    lora_dropout=settings.dropout,
                    target_modules=settings.target_modules,
                    task_type="CAUSAL_LM",
                ),
            )
        except ValueError as error:
            raise UserError(f"lora: {error}") from error


class Policy:
    """A PEFT model with what the trainer asks of it."""

    def __init__(self, model: PeftModel, temperature: float):
        self.model = model
        self.temperature = temperature

    @property
    def device(self) -> torch.device:
        return output_weight(self.model).device

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def logprobs(self, layout: PackedGroups) -> tuple[Tensor, Tensor]:
        """Log-probs and entropies `[B, T]` of the completions, 0 where the mask is false."""
        hidden = hidden_states(self.model, layout.ids, layout.positions, layout)
        flat, entropy = token_logprobs(
            hidden[layout.predictors[layout.mask]],
            output_weight(self.model),
            layout.targets[layout.mask],
            self.temperature,
        )
        empty = torch.zeros(layout.mask.shape, device=flat.device)
        return (
            empty.masked_scatter(layout.mask, flat),
            empty.masked_scatter(layout.mask, entropy),
        )

    @contextlib.contextmanager
    def as_reference(self) -> Iterator[None]:
        """Inside, the policy is the reference: adapter off, no gradients."""
        with torch.no_grad(), self.model.disable_adapter():
            yield

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the adapter in PEFT's format."""
        self.model.save_pretrained(str(folder))
