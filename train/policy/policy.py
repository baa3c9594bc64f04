"""The policy: a base model with one trainable LoRA adapter; switched off, it is the reference."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from common.errors import UserError
from common.shapes import K_d
from models.head import head_of
from models.lora import speed_up
from models.packed import PackedGroups, output_weight
from models.plain import states_of
from train.config.sections import Lora
from train.policy.logprobs import Truncation, token_logprobs

REFERENCE = "reference"  # the name of the frozen second adapter


def add_lora(base: Any, settings: Lora, seed: int) -> PeftModel:
    """A fresh LoRA adapter (float32) on the frozen base; its first output equals the base's."""
    device = output_weight(base).device
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        try:
            model = get_peft_model(
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
    _refuse_head(model)
    return speed_up(model)


def _refuse_head(model: PeftModel) -> None:
    """The embeddings are read as plain matrices by the trainer's and the sampler's own code."""
    base: Any = model.get_base_model()
    for ends in (base.get_output_embeddings, base.get_input_embeddings):
        if isinstance(found := ends(), BaseTunerLayer):
            raise UserError(
                f"lora.target_modules: an adapter on the {type(found.get_base_layer()).__name__} "
                "that reads or writes tokens (lm_head, embed_tokens) is not supported"
            )


class Policy:
    """A PEFT model with what the trainer asks of it."""

    def __init__(
        self,
        model: PeftModel,
        temperature: float,
        *,
        autocast: bool = False,
        truncation: Truncation | None = None,
        float32_head: bool = False,
    ):
        """`autocast` computes the layers in bfloat16 whatever the dtype of the weights.

        `temperature` and `truncation` are the sampler's: log-probs are of what it drew from.
        """
        self.model = model
        self.temperature = temperature
        self.autocast = autocast
        self.truncation, self.float32_head = truncation, float32_head
        self.moved_reference = False

    @property
    def dropout(self) -> bool:
        """Whether a pass with gradient drops anything out."""
        return any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in self.model.modules())

    @property
    def device(self) -> torch.device:
        return output_weight(self.model).device

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def states(self, layout: PackedGroups) -> Float[Tensor, K_d]:
        """The hidden states that predict the K tokens of the completions."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            hidden = states_of(self.model, layout)
        return hidden[layout.predictors[layout.mask]].to(output_weight(self.model).dtype)

    def logprobs(
        self,
        layout: PackedGroups,
        *,
        states: Float[Tensor, K_d] | None = None,
        entropy_gradient: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Log-probs and entropies `[B, T]` of the completions, 0 where the mask is false."""
        flat, entropy = token_logprobs(
            self.states(layout) if states is None else states,
            head_of(self.model),
            layout.targets[layout.mask],
            self.temperature,
            entropy_gradient=entropy_gradient,
            truncation=self.truncation,
            float32=self.float32_head,
        )
        empty = torch.zeros(layout.mask.shape, device=flat.device, dtype=flat.dtype)
        return (
            empty.masked_scatter(layout.mask, flat),
            empty.masked_scatter(layout.mask, entropy.to(flat.dtype)),
        )

    @contextlib.contextmanager
    def as_reference(self) -> Iterator[None]:
        """Inside, the policy is the reference, without gradients.

        That is the base with the adapter off, or after `move_reference` a frozen second adapter:
        that of a warm start, or one that followed the policy.
        """
        with torch.no_grad():
            if not self.moved_reference:
                with self.model.disable_adapter():
                    yield
                return
            self.model.set_adapter(REFERENCE)
            try:
                yield
            finally:
                self._back_to_policy()

    def move_reference(self, state: dict[str, Tensor] | None = None) -> None:
        """Make the present policy the reference (iterative GRPO), or a saved `state` of one."""
        if not self.moved_reference:
            self.model.add_adapter(REFERENCE, self.model.peft_config["default"])
            self.moved_reference = True
        state = state or get_peft_model_state_dict(self.model, adapter_name="default")
        set_peft_model_state_dict(self.model, state, adapter_name=REFERENCE)
        self._back_to_policy()

    def reference_state(self) -> dict[str, Tensor] | None:
        """The weights of a moved reference, to go into a checkpoint; None for the base."""
        if not self.moved_reference:
            return None
        return get_peft_model_state_dict(self.model, adapter_name=REFERENCE)

    def _back_to_policy(self) -> None:
        self.model.set_adapter("default")
        for name, weight in self.model.named_parameters():
            if f".{REFERENCE}." in name:
                weight.requires_grad_(False)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the adapter in PEFT's format."""
        self.model.save_pretrained(str(folder), selected_adapters=["default"])
