"""A plugin that vLLM loads into each of its processes (entry point `vllm.general_plugins`)."""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

OPERATIONS = ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice")


def spare_base_rows() -> None:
    """On a CPU, let no adapter touch the rows of requests that ask for the base.

    vLLM marks such a row by adapter slot -1. Its GPU kernels skip the row; its CPU operations index
    the stacked adapters with -1, the last slot, so that the base's answers change as soon as they
    share a step with an adapter's (https://github.com/vllm-project/vllm/pull/48421).
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu

    for name in OPERATIONS:
        plain = getattr(lora_ops, name)
        if plain.__module__ == lora_ops.__name__ and not hasattr(plain, "__wrapped__"):
            for module in (lora_ops, punica_cpu):  # vLLM loads its plugins more than once
                setattr(module, name, sparing(plain))


def sparing(operation: Callable[..., None]) -> Callable[..., None]:
    """The operation, leaving the output's rows alone whose slot is -1."""

    @functools.wraps(operation)
    def spared(x: Tensor, weights: Tensor, output: Tensor, slots: Tensor, *rest: Any, **more: Any):
        rows, base = output[: len(slots)], slots < 0
        kept = rows[base].clone()
        operation(x, weights, output, slots, *rest, **more)
        rows[base] = kept

    return spared
