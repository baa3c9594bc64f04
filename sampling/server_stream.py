"""Answers of vLLM servers as they grow, under many adapters at once."""

import threading
import uuid
from collections.abc import Callable, Generator
from pathlib import Path

from common.errors import UserError
from models.loading import check_adapter
from sampling.completion import Completion, completion, is_cut_off
from sampling.params import SamplingParams
from sampling.remote import Adapter
from sampling.sampler import encode_prompts
from sampling.seeds import prompt_keys
from sampling.server_sampler import ServerSampler


class ServerStreams:
    """Streams from the servers of a sampler; an adapter is put on them when first asked for."""

    def __init__(self, sampler: ServerSampler):
        self._sampler = sampler
        self.tokenizer = sampler.tokenizer
        self._adapters: dict[str, Adapter] = {}  # by folder
        self._naming = threading.Lock()

    def write(
        self, prompt: list[int], n: int, adapter: str | Path | None, params: SamplingParams
    ) -> Generator[Callable[[], list[Completion]], None, None]:
        """N completions of a prompt, whenever a server has sent more; the tokens of `sample`.

        Stop iterating, and close, to leave. Raises UserError where no server answers, or the one
        that has begun goes.
        """
        [prompt] = encode_prompts(self.tokenizer, [prompt], self._sampler.context)
        [key] = prompt_keys([prompt], params.seed)
        tokens: list[list[int]] = [[] for _ in range(n)]
        logprobs: list[list[float]] = [[] for _ in range(n)]
        cut_off = [True] * n

        def grown() -> list[Completion]:
            return [
                completion(ids, values, cut, self.tokenizer, params.stop)
                for ids, values, cut in zip(tokens, logprobs, cut_off, strict=True)
            ]

        body = self._sampler.body(prompt, n, params, key)
        for piece in self._sampler.servers.stream(body, self._adapter(adapter)):
            for choice in piece["choices"]:
                place, ids = choice["index"], choice.get("token_ids") or []
                tokens[place] += ids
                logprobs[place] += choice["logprobs"]["token_logprobs"] if ids else []
                if choice["finish_reason"]:
                    cut_off[place] = is_cut_off(choice["finish_reason"])
            yield grown

    def score(
        self, prompt: list[int], token_ids: list[int], adapter: str | Path | None = None
    ) -> list[float]:
        """Log-probs (nats, temperature 1) of given tokens after a prompt, under one adapter."""
        whole = [*prompt, *token_ids]
        if len(whole) >= self._sampler.context:
            raise UserError("this answer fills the server's context: it cannot be scored there")
        body = {"prompt": whole, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        servers = self._sampler.servers
        reply = servers.run(servers.ask(body, self._adapter(adapter)))
        told = reply["choices"][0]["prompt_logprobs"][len(prompt) :]
        return [one[str(token)]["logprob"] for one, token in zip(told, token_ids, strict=True)]

    def close(self) -> None:
        """Take the adapters off the servers."""
        self._sampler.close()

    def _adapter(self, adapter: str | Path | None) -> Adapter | None:
        if adapter is None:
            return None
        folder = str(Path(adapter).resolve())
        with self._naming:
            if folder not in self._adapters:
                check_adapter(folder, self._sampler.name)
                self._adapters[folder] = Adapter(f"mathgrpo-{uuid.uuid4().hex}", Path(folder))
            return self._adapters[folder]
