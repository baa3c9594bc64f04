"""LoRA layers computed with as few passes over memory as they need.

PEFT computes `W x + (B (A x)) · s` as six operations, each a pass over `[tokens, width]`. Here the
second term is added in place by the matrix product itself, forward and backward. Same parameters,
same adapters, never merged; layers with dropout, several active adapters, mixed dtypes or any
variant of LoRA keep PEFT's own path.
"""

import types
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
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


def _forward(layer: Linear, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    name: Any = layer.active_adapters[0] if len(layer.active_adapters) == 1 else None
    base: Any = layer.base_layer
    short = (
        not args
        and not kwargs
        and not layer.disable_adapters
        and not layer.merged
        and name in layer.lora_A
        and name not in layer.lora_variant
        and type(base) is torch.nn.Linear
        and not base.weight.requires_grad
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and layer.lora_A[name].weight.dtype == base.weight.dtype == x.dtype
        and not torch.is_autocast_enabled(x.device.type)
    )
    if not short:
        return type(layer).forward(layer, x, *args, **kwargs)
    flat: Tensor = x.reshape(-1, x.shape[-1])
    a: Any = layer.lora_A[name].weight
    b: Any = layer.lora_B[name].weight
    inputs = (flat, base.weight, base.bias, a, b, float(layer.scaling[name]))
    out = _Lora.apply(*inputs) if torch.is_grad_enabled() else _product(*inputs)[0]
    return out.view(*x.shape[:-1], -1)
