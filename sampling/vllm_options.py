"""What both ways to vLLM, in process and as a server, have to know of it."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import Any

from common.errors import UserError


def has_vllm() -> bool:
    """Whether vLLM is installed and can run here: its CUDA build needs a GPU."""
    if importlib.util.find_spec("vllm") is None:
        return False
    import torch

    return torch.version.cuda is None or torch.cuda.is_available()


def has_gpu() -> bool:
    """Whether there is a CUDA device."""
    import torch

    return torch.cuda.is_available()


PLUGIN = "mathgrpo_spare_base_rows"  # the entry point of sampling/vllm_plugin.py


# A checkpoint's generation_config may ask for penalties and truncation; the policy knows of none.
NEUTRAL: dict[str, Any] = {
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "min_tokens": 0,
    "ignore_eos": False,
}


@contextlib.contextmanager
def visible_devices(devices: Sequence[int] | None) -> Iterator[None]:
    """Processes started within see these GPUs alone, numbered as this process sees them."""
    if devices is None:
        yield
        return
    name = "CUDA_VISIBLE_DEVICES"
    before = os.environ.get(name)
    seen = before.split(",") if before else None
    if seen and max(devices) >= len(seen):
        raise UserError(f"devices {list(devices)}: only {len(seen)} GPUs are visible here")
    os.environ[name] = ",".join(seen[i] if seen else str(i) for i in devices)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def allowed_rank(rank: int) -> int:
    """The smallest rank vLLM has room for that holds `rank`."""
    for allowed in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= allowed:
            return allowed
    raise UserError(f"vLLM serves LoRA ranks up to 512, not {rank}")
