"""The one function that opens a sampling backend."""

import inspect
from collections.abc import Mapping
from typing import Any

from common.errors import UserError, nearest
from sampling.sampler import Sampler
from sampling.vllm_options import has_vllm

BACKENDS = ("auto", "torch", "vllm", "vllm-server")


def pick_backend(backend: str) -> str:
    """`auto` resolved: vLLM where it is installed together with a GPU, else torch."""
    if backend not in BACKENDS:
        raise UserError(f"unknown sampler backend '{backend}'{nearest(backend, BACKENDS)}")
    if backend != "auto":
        return backend
    import torch

    return "vllm" if has_vllm() and torch.cuda.is_available() else "torch"


def refuse_unknown(
    backend: str, options: Mapping[str, Any], where: str, *, apart: bool = False
) -> None:
    """Raise UserError for options that the embedded sampler has no use for; vLLM checks its own.

    `where` the user gave them, for the message; `apart`: it gets a process of its own.
    """
    if pick_backend(backend) != "torch":
        return
    from sampling.process import SamplerProcess
    from sampling.torch_sampler import TorchSampler

    known = {
        name
        for kind in (TorchSampler, *([SamplerProcess] if apart else []))
        for name in inspect.signature(kind).parameters
    } - {"model", "options"}
    for key in options:
        if key not in known:
            raise UserError(f"{where}: the torch backend has no {key}{nearest(key, known)}")


def load_sampler(
    backend: str, model: Any, *, adapter: Any = None, dtype: str = "auto", **options: Any
) -> Sampler:
    """Open a sampling backend.

    `backend`: `torch` decodes in this process, on the very module given as `model` if it is one;
    `vllm` starts a vLLM engine on the model folder or hub name; `vllm-server` asks the servers in
    `servers`, or one that it starts; `auto`: see `pick_backend`. `dtype`: auto, float32, bfloat16
    or float16; a module keeps its own. `options` go to the backend.
    Raises UserError for an unknown backend, a missing vLLM, or a model or adapter that cannot be
    loaded.
    """
    backend, options = pick_backend(backend), {"adapter": adapter, "dtype": dtype, **options}
    if backend == "vllm-server" and options.get("servers"):
        from sampling.server_sampler import ServerSampler

        return ServerSampler(model, **options)
    if backend in ("vllm", "vllm-server"):
        if not has_vllm():
            raise UserError(
                "vLLM is not installed here, or is the CUDA build and there is no GPU; "
                "install the extra 'cpu' or 'gpu', or use "
                "the sampler backend 'torch'"
            )
        if backend == "vllm-server":
            from sampling.server_sampler import ServerSampler

            return ServerSampler(model, **options)
        from sampling.vllm_sampler import VllmSampler

        return VllmSampler(model, **options)
    from sampling.torch_sampler import TorchSampler

    return TorchSampler(model, **options)
