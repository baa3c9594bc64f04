"""LoRA layers computed with as few passes over memory as they need.

PEFT computes `W x + (B (A x)) · s` as six operations, each a pass over `[tokens, width]`. Here the
second term is added in place by the matrix product itself, forward and backward. Same parameters,
same adapters, never merged; layers with dropout, several active adapters or any
variant of LoRA keep PEFT's own path.
"""

import contextlib
import types
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear, LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor


def _product(
    x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, s: float
) -> tuple[Tensor, Tensor]:
    """x Wᵀ + b + s (x Aᵀ) Bᵀ, and x Aᵀ `[L, r]`."""
    low = x @ a.T
    out = F.linear(x, weight, bias)
    return out.addmm_(low, b.T, alpha=s), low


class _Lora(torch.autograd.Function):
    """The product for a frozen W, with the gradients of x, A and B."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, s: float
    ) -> Tensor:
        out, low = _product(x, weight, bias, a, b, s)
        ctx.save_for_backward(x, weight, a, b, low)
        ctx.s = s
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, a, b, low = ctx.saved_tensors
        (grad,) = gradients
        to_low = (grad @ b).mul_(ctx.s)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = grad @ weight
            to_x.addmm_(to_low, a)
        to_b = (grad.T @ low).mul_(ctx.s)
        return to_x, None, None, to_low.T @ x, to_b, None


def speed_up(model: Any) -> Any:
    """Let the LoRA layers of a PEFT model take the short way where they can; returns the model."""
    for layer in model.modules():
        if type(layer) is Linear and "forward" not in vars(layer):
            layer.forward = types.MethodType(_forward, layer)  # type: ignore[method-assign]
    return model


class Switch:
    """Which adapter of a PEFT model is at work, chosen between two tokens.

    PEFT's own way looks through all modules and parameters, longer than a token of a small model
    takes. It is left to do it where an adapter holds more than LoRA layers.
    """

    def __init__(self, model: Any):
        self._model = model
        self._layers = [m for m in model.modules() if isinstance(m, BaseTunerLayer)]
        wrapped = any(isinstance(m, AuxiliaryTrainingWrapper) for m in model.modules())
        self._by_peft = wrapped or not all(isinstance(m, LoraLayer) for m in self._layers)

    @contextlib.contextmanager
    def on(self, adapter: str | None) -> Iterator[None]:
        """Within, the model computes with that adapter alone; None: as the base."""
        if self._by_peft:
            if adapter is not None:
                self._model.set_adapter(adapter)
            with self._model.disable_adapter() if adapter is None else contextlib.nullcontext():
                yield
            return
        for layer in self._layers:
            layer._disable_adapters = adapter is None
            if adapter is not None:
                layer._active_adapter = adapter
        yield


def _forward(layer: Linear, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    # By its dictionaries, not by its attributes: nn.Module looks these up in Python, which for a
    # token of a small model takes as long as the products.
    modules: Any = layer._modules
    active, names = layer._active_adapter, modules["lora_A"]._modules
    name: Any = active if isinstance(active, str) else active[0] if len(active) == 1 else None
    base: Any = modules["base_layer"]
    weight = base._parameters.get("weight")
    short = (
        not args
        and not kwargs
        and not layer._disable_adapters
        and not layer.merged_adapters
        and name in names
        and name not in layer.lora_variant
        and type(base) is torch.nn.Linear
        and not weight.requires_grad
        and isinstance(modules["lora_dropout"]._modules[name], torch.nn.Identity)
        and weight.dtype == x.dtype
        and (x.is_meta or not torch.is_autocast_enabled(x.device.type))  # meta: only counted
    )
    if not short:
        return type(layer).forward(layer, x, *args, **kwargs)
    flat: Tensor = x.reshape(-1, x.shape[-1])
    a: Any = names[name]._parameters["weight"].to(x.dtype)  # PEFT keeps adapters in float32
    b: Any = modules["lora_B"]._modules[name]._parameters["weight"].to(x.dtype)
    inputs = (flat, weight, base._parameters["bias"], a, b, float(layer.scaling[name]))
    out = _Lora.apply(*inputs) if torch.is_grad_enabled() else _product(*inputs)[0]
    return out.view(*x.shape[:-1], -1)
