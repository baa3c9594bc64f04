"""The embedded sampler: batched decoding in this process, on the trainer's own module.

Nothing is copied: given a module, it samples from that module's present weights.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sampling.completion import Completion
from sampling.decode import DecodeCache, PromptPass, mix, shrink, uniform
from sampling.model import context_length, eos_ids, load_adapter, load_model, load_tokenizer
from sampling.packed import hidden_states, output_weight
from sampling.sampler import Sampler, check_request, encode_prompts


class TorchSampler(Sampler):
    """Samples from a causal LM given as a folder, a hub name, or a module with its tokenizer."""

    backend = "torch"

    def __init__(
        self,
        model: Any,
        *,
        adapter: Any = None,
        tokenizer: Any = None,
        dtype: str = "auto",
        device: str | None = None,
        max_batch: int = 512,
    ):
        """`max_batch` bounds how many sequences are decoded at once."""
        if isinstance(model, torch.nn.Module):
            if tokenizer is None:
                raise ValueError("a module needs its tokenizer beside it")
            self.name, self.model, self.tokenizer = None, model, tokenizer
        else:
            self.name = str(model)
            self.tokenizer = tokenizer or load_tokenizer(model)
            self.model = load_model(model, dtype=dtype, device=device)
        self.max_batch = max_batch
        self._served: dict[str, str] = {}  # adapter folder -> its name inside the PeftModel
        self._active: str | None = None
        if adapter is not None:
            self.update_adapter(adapter)

    def update_adapter(self, adapter: Any) -> None:
        """Serve another adapter, by folder. With a shared module there is nothing to swap."""
        if self.name is None:
            return
        if adapter is None:
            self._active = None
            return
        if not isinstance(adapter, str | Path):
            raise TypeError("a sampler that loaded its own base takes adapters as folders")
        folder = str(adapter)
        if self._served:
            self.model = self.model.unload()
        self.model = load_adapter(self.model, folder, self.name, trainable=False).eval()
        self._served = {folder: "default"}
        self._active = "default"

    def _adapter_as_wanted(self) -> contextlib.AbstractContextManager:
        if self._served and self._active is None:
            return self.model.disable_adapter()
        return contextlib.nullcontext()

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
    ) -> list[list[Completion]]:
        check_request(n, temperature, max_tokens, top_p, top_k)
        ids = encode_prompts(self.tokenizer, prompts, context_length(self.model.config))
        groups: list[list[Completion]] = []
        size = max(1, self.max_batch // n)
        for begin in range(0, len(ids), size):
            run = Decoding(
                self, ids[begin : begin + size], n, temperature, max_tokens, seed, top_p, top_k
            )
            for _ in run.steps():
                pass
            groups += run.completions()
        return groups

    def stream(
        self,
        prompt: str | list[int],
        temperature: float = 0.0,
        max_tokens: int = 256,
        seed: int = 0,
        *,
        top_p: float = 1.0,
        top_k: int = 0,
    ) -> Iterator[Completion]:
        """One completion as it grows, token by token; stop iterating to cancel."""
        check_request(1, temperature, max_tokens, top_p, top_k)
        ids = encode_prompts(self.tokenizer, [prompt], context_length(self.model.config))  # type: ignore[list-item]
        run = Decoding(self, ids, 1, temperature, max_tokens, seed, top_p, top_k)
        for _ in run.steps():
            yield run.completions()[0][0]


class Decoding:
    """One batch on its way: P prompts, N completions each, advanced a token at a time."""

    def __init__(
        self,
        sampler: TorchSampler,
        prompts: list[list[int]],
        n: int,
        temperature: float,
        max_tokens: int,
        seed: int,
        top_p: float,
        top_k: int,
    ):
        self.sampler, self.model, self.tokenizer = sampler, sampler.model, sampler.tokenizer
        self.prompts, self.n = prompts, n
        self.temperature, self.top_p, self.top_k = temperature, top_p, top_k
        self.device = output_weight(self.model).device
        context = context_length(self.model.config)
        self.room = [min(max_tokens, context - len(prompt)) for prompt in prompts]
        self.eos = torch.tensor(eos_ids(self.model, self.tokenizer), device=self.device)
        self.keys = sequence_keys(prompts, n, seed).to(self.device)
        steps = max(self.room)
        size = (len(prompts) * n, steps)
        self.tokens = torch.zeros(size, dtype=torch.long, device=self.device)
        self.logprobs = torch.zeros(size, device=self.device)
        self.lengths = torch.zeros(size[0], dtype=torch.long, device=self.device)

    def steps(self) -> Iterator[None]:
        """Sample a token for every running sequence, then yield; ends when all have finished."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), self.sampler._adapter_as_wanted():
                yield from self._steps()
        finally:
            self.model.train(was_training)

    def _steps(self) -> Iterator[None]:
        head = output_weight(self.model)
        p, n = len(self.prompts), self.n
        prompt_pass = PromptPass(self.prompts, self.device)
        hidden = hidden_states(self.model, prompt_pass.ids, prompt_pass.positions, prompt_pass)
        hidden = hidden[prompt_pass.ends].repeat_interleave(n, 0)  # [P·N, d]
        cache = DecodeCache(prompt_pass, n)
        slots = torch.arange(p * n, device=self.device).view(p, n)  # which sequence is where
        running = torch.ones(p, n, dtype=torch.bool, device=self.device)
        positions = prompt_pass.lengths[:, None].expand(p, n)
        room = torch.tensor(self.room, device=self.device)[:, None].expand(p, n)
        for step in range(max(self.room)):
            logits = (hidden @ head.T).float()
            drawn, logprobs = draw(
                logits,
                self.temperature,
                self.top_k,
                self.top_p,
                uniform(self.keys[slots.flatten()], step),
            )
            live = running.flatten()
            at = slots.flatten()[live]
            self.tokens[at, step] = drawn[live]
            self.logprobs[at, step] = logprobs[live]
            self.lengths[at] += 1
            ended = torch.isin(drawn, self.eos).view_as(running)
            running = running & ~ended & (step + 1 < room)
            yield
            if not running.any():
                return
            following = drawn.view_as(running)
            if step:
                cache.advance()
            if (smaller := shrink(running)) is not None:
                rows, places = smaller
                cache.keep(rows, places)
                running, slots, positions, room, following = (
                    x[rows[:, None], places] for x in (running, slots, positions, room, following)
                )
            hidden = hidden_states(
                self.model, following.flatten(), (positions + step).flatten(), cache
            )

    def completions(self) -> list[list[Completion]]:
        """What has been sampled so far, P × N."""
        lengths = self.lengths.tolist()
        eos = set(self.eos.tolist())
        done: list[Completion] = []
        ids = [row[:k] for row, k in zip(self.tokens.tolist(), lengths, strict=True)]
        logprobs = [row[:k] for row, k in zip(self.logprobs.tolist(), lengths, strict=True)]
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        for text, row, kept in zip(texts, ids, logprobs, strict=True):
            stopped = bool(row) and row[-1] in eos
            done.append(Completion(text, row, kept, "stop" if stopped else "length"))
        return [done[i : i + self.n] for i in range(0, len(done), self.n)]


def sequence_keys(prompts: list[list[int]], n: int, seed: int) -> Int[Tensor, "PN"]:
    """A random key for each sequence, made of seed, prompt and place in the group alone."""
    keys = []
    for prompt in prompts:
        text = f"{seed}:{','.join(map(str, prompt))}".encode()
        keys.append(int.from_bytes(hashlib.sha256(text).digest()[:8], "little", signed=True))
    base = torch.tensor(keys, dtype=torch.long)[:, None]
    return mix(base ^ mix(torch.arange(1, n + 1))[None]).flatten()


def draw(
    logits: Float[Tensor, "B V"],
    temperature: float,
    top_k: int,
    top_p: float,
    uniforms: Float[Tensor, "B"],
) -> tuple[Int[Tensor, "B"], Float[Tensor, "B"]]:
    """Draw a token for each row by inverting the cumulative distribution at `uniforms`.

    Returns the tokens and their log-probs under the distribution drawn from.
    """
    if temperature == 0:
        tokens = logits.argmax(-1)
        return tokens, logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    logprobs = cut((logits / temperature).log_softmax(-1), top_k, top_p)
    cumulative = logprobs.exp().cumsum(-1)
    tokens = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)
    tokens = tokens.clamp(max=logits.shape[1] - 1)
    return tokens[:, 0], logprobs.gather(1, tokens)[:, 0]


def cut(logprobs: Float[Tensor, "B V"], top_k: int, top_p: float) -> Float[Tensor, "B V"]:
    """Keep the `top_k` likeliest tokens and the fewest that hold `top_p`, renormalised."""
    if 0 < top_k < logprobs.shape[1]:
        least = logprobs.topk(top_k, dim=-1).values[:, -1:]
        logprobs = logprobs.masked_fill(logprobs < least, float("-inf")).log_softmax(-1)
    if top_p < 1:
        ordered, order = logprobs.sort(dim=-1, descending=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        ordered = ordered.masked_fill(before >= top_p, float("-inf"))
        logprobs = torch.empty_like(logprobs).scatter_(1, order, ordered).log_softmax(-1)
    return logprobs
