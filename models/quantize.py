"""A base in 4 bits a weight (NF4; Dettmers et al., QLoRA, arXiv 2305.14314), by bitsandbytes."""

import importlib.util
from typing import Any

import torch

from common.errors import UserError

BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)  # a weight: its 4 bits, its share of two levels of scales


def check_quantize(quantize: str | None) -> None:
    """Raises UserError for a kind that is unknown, or where bitsandbytes is not installed."""
    if quantize is None:
        return
    if quantize != "nf4":
        raise UserError(f"model.quantize knows nf4, not '{quantize}'")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("model.quantize needs bitsandbytes: pip install 'mathgrpo[qlora]'")


def alike_in_inference(model: Any) -> Any:
    """The model without bitsandbytes' own bfloat16 kernels for inference on some CPUs: what samples
    must compute what learns."""
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return model


def quantization(quantize: str | None, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """How transformers is to load the base: layers in 4 bits that compute in `dtype`."""
    if quantize is None:
        return {}
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": device}}
