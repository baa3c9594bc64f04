"""What every sampling backend offers."""

import abc
from collections.abc import Sequence
from typing import Any

from common.errors import UserError
from sampling.completion import Completion
from sampling.params import SamplingParams


class Sampler(abc.ABC):
    """Writes N completions to each prompt; serves the base model or one LoRA adapter on it."""

    backend: str
    tokenizer: Any
    context: int  # tokens a prompt and its completion may have together

    def sample(
        self,
        prompts: Sequence[str] | Sequence[list[int]],
        n: int,
        params: SamplingParams = SamplingParams(),  # noqa: B008 - frozen
    ) -> list[list[Completion]]:
        """N completions for each of P prompts (text or token ids), in the order of the prompts.

        The same seed, prompt and adapter give the same tokens. Raises UserError for a prompt that
        leaves no room in the model's context.
        """
        if n < 1:
            raise UserError(f"n must be at least 1, not {n}")
        return self._sample(encode_prompts(self.tokenizer, prompts, self.context), n, params)

    @abc.abstractmethod
    def _sample(
        self, prompts: list[list[int]], n: int, params: SamplingParams
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
