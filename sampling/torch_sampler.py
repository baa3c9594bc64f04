"""The embedded sampler: batched decoding in this process, on the trainer's own module.

Nothing is copied: given a module, it samples from that module's present weights.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sampling.completion import Completion, completion
from sampling.decode import DecodeCache, PromptPass, mix, shrink, uniform
from sampling.model import context_length, eos_ids, load_adapter, load_model, load_tokenizer
from sampling.packed import Layout, PackedGroups, hidden_states, output_weight
from sampling.sampler import Sampler, Settings, encode_prompts


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
            self.name, self.tokenizer = None, tokenizer
            self.model: Any = model
        else:
            self.name = str(model)
            self.tokenizer = tokenizer or load_tokenizer(model)
            self.model = load_model(model, dtype=dtype, device=device)
        self.context = context_length(self.model.config)
        self.max_batch = max_batch
        self._shared = self.name is None  # the weights belong to somebody else, who trains them
        self._names: dict[str, str] = {}  # adapter folder -> its name inside the PeftModel
        self._active: str | None = None
        if adapter is not None:
            self.update_adapter(adapter)

    def update_adapter(self, adapter: Any) -> None:
        """Serve another adapter, by folder. With a shared module there is nothing to swap."""
        if not self._shared:
            self._active = self.load_adapter(adapter)

    def load_adapter(self, adapter: str | Path | None) -> str | None:
        """Keep an adapter beside the others and return its name; None stands for the base."""
        if adapter is None:
            return None
        folder = str(Path(adapter).resolve())
        if folder not in self._names:
            name = f"adapter{len(self._names)}"
            self.model = load_adapter(self.model, folder, str(self.name), name=name).eval()
            self._names[folder] = name
        return self._names[folder]

    def score(
        self, prompt: list[int], token_ids: list[int], adapter: str | Path | None = None
    ) -> list[float]:
        """Log-probs (nats, temperature 1) of given tokens after a prompt, under one adapter."""
        head = output_weight(self.model)
        layout = PackedGroups([prompt], [[token_ids]], head.device)
        with self.forward(self.load_adapter(adapter)):
            hidden = hidden_states(self.model, layout.ids, layout.positions, layout)
            logits = (hidden[layout.predictors[0]] @ head.T).float()
            return logits.log_softmax(-1).gather(1, layout.targets[0][:, None])[:, 0].tolist()

    @contextlib.contextmanager
    def forward(self, adapter: str | None) -> Iterator[None]:
        """Within, the model computes with the adapter of that name, for inference."""
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), contextlib.ExitStack() as stack:
                if not self._shared and self._names:
                    if adapter is None:
                        stack.enter_context(self.model.disable_adapter())
                    elif self.model.active_adapter != adapter:
                        self.model.set_adapter(adapter)
                yield
        finally:
            if was_training:
                self.model.train()

    def _sample(
        self, prompts: list[list[int]], n: int, settings: Settings
    ) -> list[list[Completion]]:
        groups: list[list[Completion]] = []
        size = max(1, self.max_batch // n)
        for begin in range(0, len(prompts), size):
            part = prompts[begin : begin + size]
            run = Decoding(self, part, n, self._active, settings=settings)
            for _ in run.steps():
                pass
            groups += run.completions()
        return groups

    def stream(
        self,
        prompt: str | list[int],
        adapters: Sequence[str | Path | None] = (None,),
        temperature: float = 0.0,
        max_tokens: int = 256,
        seed: int = 0,
        *,
        top_p: float = 1.0,
        top_k: int = 0,
        stop: Sequence[str] = (),
    ) -> Iterator[list[Completion]]:
        """One completion by each adapter as they grow, a token each a turn.

        None among the adapters stands for the base. Stop iterating to cancel.
        """
        settings = Settings(temperature, max_tokens, seed, top_p, top_k, tuple(stop))
        names = [self.load_adapter(adapter) for adapter in adapters]
        prompts: Any = [prompt]
        ids = encode_prompts(self.tokenizer, prompts, self.context)
        runs = [Decoding(self, ids, 1, name, settings=settings) for name in names]
        going = [run.steps() for run in runs]
        while [steps for steps in going if next(steps, "done") is None]:
            yield [run.completions()[0][0] for run in runs]


class Decoding:
    """One batch on its way: P prompts, N completions each, advanced a token at a time."""

    def __init__(
        self,
        sampler: TorchSampler,
        prompts: list[list[int]],
        n: int,
        adapter: str | None,
        *,
        settings: Settings,
    ):
        self.sampler, self.prompts, self.n = sampler, prompts, n
        self.adapter, self.settings = adapter, settings
        self.device = output_weight(sampler.model).device
        self.room = [min(settings.max_tokens, sampler.context - len(p)) for p in prompts]
        self.eos = torch.tensor(eos_ids(sampler.model, sampler.tokenizer), device=self.device)
        self.keys = sequence_keys(prompts, n, settings.seed).to(self.device)
        size = (len(prompts) * n, max(self.room))
        self.tokens = torch.zeros(size, dtype=torch.long, device=self.device)
        self.logprobs = torch.zeros(size, device=self.device)
        self.lengths = torch.zeros(size[0], dtype=torch.long, device=self.device)
        self.stopped = torch.zeros(size[0], dtype=torch.bool, device=self.device)

    def _forward(self, ids: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        with self.sampler.forward(self.adapter):
            return hidden_states(self.sampler.model, ids, positions, layout)

    def steps(self) -> Iterator[None]:
        """Sample a token for every running sequence, then yield; ends when all have finished."""
        head = output_weight(self.sampler.model)
        p, n = len(self.prompts), self.n
        prompt_pass = PromptPass(self.prompts, self.device)
        hidden = self._forward(prompt_pass.ids, prompt_pass.positions, prompt_pass)
        hidden = hidden[prompt_pass.ends].repeat_interleave(n, 0)  # [P·N, d]
        cache = DecodeCache(prompt_pass, n)
        slots = torch.arange(p * n, device=self.device).view(p, n)  # which sequence is where
        running = torch.ones(p, n, dtype=torch.bool, device=self.device)
        positions = prompt_pass.lengths[:, None].expand(p, n)
        room = torch.tensor(self.room, device=self.device)[:, None].expand(p, n)
        for step in range(max(self.room)):
            with torch.inference_mode():
                logits = (hidden @ head.T).float()
                drawn, logprobs = draw(
                    logits, self.settings, uniform(self.keys[slots.flatten()], step)
                )
            live = running.flatten()
            at = slots.flatten()[live]
            self.tokens[at, step] = drawn[live]
            self.logprobs[at, step] = logprobs[live]
            self.lengths[at] += 1
            ended = torch.isin(drawn, self.eos)
            if self.settings.stop:
                ended[live] |= self._at_stop(at, step)
            self.stopped[at] |= ended[live]
            ended = ended.view_as(running)
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
            hidden = self._forward(following.flatten(), (positions + step).flatten(), cache)

    def _at_stop(self, which: Int[Tensor, "K"], step: int) -> Bool[Tensor, "K"]:
        """Which of some sequences have just completed a stop string."""
        longest = max(map(len, self.settings.stop))
        tails = self.tokens[which, max(0, step - longest) : step + 1].tolist()  # ≥ 1 character each
        texts = self.sampler.tokenizer.batch_decode(tails, skip_special_tokens=True)
        found = [any(one in text for one in self.settings.stop) for text in texts]
        return torch.tensor(found, device=self.device)

    def completions(self) -> list[list[Completion]]:
        """What has been sampled so far, P × N."""
        lengths = self.lengths.tolist()
        done = [
            completion(
                ids[:k], logprobs[:k], not stopped, self.sampler.tokenizer, self.settings.stop
            )
            for ids, logprobs, k, stopped in zip(
                self.tokens.tolist(),
                self.logprobs.tolist(),
                lengths,
                self.stopped.tolist(),
                strict=True,
            )
        ]
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
    settings: Settings,
    uniforms: Float[Tensor, "B"],
) -> tuple[Int[Tensor, "B"], Float[Tensor, "B"]]:
    """Draw a token for each row by inverting the cumulative distribution at `uniforms`.

    Returns the tokens and their log-probs under the distribution drawn from.
    """
    if settings.temperature == 0:
        tokens = logits.argmax(-1)
        return tokens, logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    logprobs = (logits / settings.temperature).log_softmax(-1)
    logprobs = cut(logprobs, settings.top_k, settings.top_p)
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
