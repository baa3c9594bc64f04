"""What every sampling backend offers, and the one function that opens one."""

import abc
import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import Any

from common.errors import UserError, nearest
from sampling.completion import Completion

BACKENDS = ("auto", "torch", "vllm", "vllm-server")


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How tokens are drawn, and how many."""

    temperature: float
    max_tokens: int
    seed: int
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise UserError for what makes no sense."""
        if not 0.0 <= self.temperature < float("inf"):
            raise UserError(
                f"the temperature must be 0 (greedy) or positive, not {self.temperature}"
            )
        if self.max_tokens < 1:
            raise UserError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not 0.0 < self.top_p <= 1.0 or self.top_k < 0:
            raise UserError("top_p must lie in (0, 1] and top_k must not be negative")


class Sampler(abc.ABC):
    """Writes N completions to each prompt; serves the base model or one LoRA adapter on it."""

    backend: str
    tokenizer: Any
    context: int  # tokens a prompt and its completion may have together

    def sample(
        self,
        prompts: Sequence[str] | Sequence[list[int]],
        n: int,
        temperature: float = 1.0,
        max_tokens: int = 256,
        seed: int = 0,
        *,
        top_p: float = 1.0,
        top_k: int = 0,
        stop: Sequence[str] = (),
    ) -> list[list[Completion]]:
        """N completions for each of P prompts (text or token ids), in the order of the prompts.

        `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 cut nothing. A completion ends with the
        token that completes one of the `stop` strings. The same seed, prompt and adapter give the
        same tokens. Raises UserError for a prompt that leaves no room in the
        model's context.
        """
        if n < 1:
            raise UserError(f"n must be at least 1, not {n}")
        settings = Settings(temperature, max_tokens, seed, top_p, top_k, tuple(stop))
        return self._sample(encode_prompts(self.tokenizer, prompts, self.context), n, settings)

    @abc.abstractmethod
    def _sample(
        self, prompts: list[list[int]], n: int, settings: Settings
    ) -> list[list[Completion]]:
        """The backend's part of `sample`: token ids in, each with room for an answer."""

    @abc.abstractmethod
    def update_adapter(self, adapter: Any) -> None:
        """Serve another adapter: a PEFT folder, an object with `save_pretrained`, None for base."""

    def sleep(self) -> None:  # noqa: B027 - a backend without accelerator memory has none to give
        """Give accelerator memory back until `wake`."""

    def wake(self) -> None:  # noqa: B027
        """Take back what `sleep` gave."""

    def close(self) -> None:  # noqa: B027
        """Release the engine; the sampler cannot be used afterwards."""

    def __enter__(self) -> "Sampler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def has_vllm() -> bool:
    """Whether vLLM is installed."""
    return importlib.util.find_spec("vllm") is not None


def pick_backend(backend: str) -> str:
    """`auto` resolved: vLLM where it is installed together with a GPU, else torch."""
    if backend not in BACKENDS:
        raise UserError(f"unknown sampler backend '{backend}'{nearest(backend, BACKENDS)}")
    if backend != "auto":
        return backend
    import torch

    return "vllm" if has_vllm() and torch.cuda.is_available() else "torch"


def load_sampler(backend: str, model: Any, *, adapter: Any = None, **options: Any) -> Sampler:
    """Open a sampling backend.

    `backend`: `torch` decodes in this process, on the very module given as `model` if it is one;
    `vllm` starts a vLLM engine on the model folder or hub name; `vllm-server` asks the servers in
    `servers`, or one that it starts; `auto`: see `pick_backend`. `options` go to the backend.
    Raises UserError for an unknown backend, a missing vLLM, or a model or adapter that cannot be
    loaded.
    """
    backend = pick_backend(backend)
    if backend == "vllm-server" and options.get("servers"):
        from sampling.server_sampler import ServerSampler

        return ServerSampler(model, adapter=adapter, **options)
    if backend in ("vllm", "vllm-server"):
        if not has_vllm():
            raise UserError(
                "vLLM is not installed here; install the extra 'cpu' or 'gpu', or use "
                "the sampler backend 'torch'"
            )
        if backend == "vllm-server":
            from sampling.server_sampler import ServerSampler

            return ServerSampler(model, adapter=adapter, **options)
        from sampling.vllm_sampler import VllmSampler

        return VllmSampler(model, adapter=adapter, **options)
    from sampling.torch_sampler import TorchSampler

    return TorchSampler(model, adapter=adapter, **options)


def default_dtype(dtype: str) -> str:
    """vLLM's name for a dtype; `auto` is float32 without a GPU, as in the trainer."""
    import torch

    return "float32" if dtype == "auto" and not torch.cuda.is_available() else dtype


def allowed_rank(rank: int) -> int:
    """The smallest rank vLLM has room for that holds `rank`."""
    for allowed in (8, 16, 32, 64, 128, 256, 320, 512):
        if rank <= allowed:
            return allowed
    raise UserError(f"vLLM serves LoRA ranks up to 512, not {rank}")


def encode_prompts(
    tokenizer: Any, prompts: Sequence[str] | Sequence[list[int]], context: int
) -> list[list[int]]:
    """Token ids of each prompt; raises UserError if one is empty or leaves no room to answer."""
    ids = [
        tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt) for prompt in prompts
    ]
    for index, prompt_ids in enumerate(ids):
        if not prompt_ids:
            raise UserError(f"prompt {index} is empty")
        if len(prompt_ids) >= context:
            raise UserError(
                f"prompt {index} has {len(prompt_ids)} tokens, but the context holds {context}"
            )
    return ids
