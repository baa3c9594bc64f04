"""The embedded sampler: batched decoding in this process, on the trainer's own module.

Nothing is copied: given a module, it samples from that module's present weights.
"""

import contextlib
import itertools
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from common.shapes import PN, B, B_d, K, PN_d
from models.head import head_of
from models.loading import context_length, eos_ids, load_adapter, load_model, load_tokenizer
from models.lora import Switch
from models.packed import Layout, PackedGroups, hidden_states, output_weight
from models.plain import PlainCache, shares_prompts, states_of
from sampling.completion import Completion, completion
from sampling.decode import DecodeCache, PromptPass, mix, shrink, uniform
from sampling.draw import draw
from sampling.params import SamplingParams
from sampling.sampler import Sampler, encode_prompts
from sampling.seeds import prompt_keys


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
        float32_head: bool = False,
        quantize: str | None = None,
    ):
        """`max_batch` bounds how many sequences are decoded at once.

        `float32_head` computes the logits in float32 from half-precision weights; `quantize` as of
        `load_model`.
        """
        if isinstance(model, torch.nn.Module):
            if tokenizer is None:
                raise ValueError("a module needs its tokenizer beside it")
            self.name, self.tokenizer = None, tokenizer
            self.model: Any = model
        else:
            self.name = str(model)
            self.tokenizer = tokenizer or load_tokenizer(model)
            self.model = load_model(model, dtype=dtype, device=device, quantize=quantize)
        self.context = context_length(self.model.config)
        self.max_batch, self.float32_head = max_batch, float32_head
        self._shared = self.name is None  # the weights belong to somebody else, who trains them
        self._names: dict[str, str] = {}  # adapter folder -> its name inside the PeftModel
        self._numbers = itertools.count()
        self._switch: Switch | None = None  # of an own model with adapters
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
        name = self._names.pop(folder, None)
        if name is None:
            name = f"adapter{next(self._numbers)}"
            self.model = load_adapter(self.model, folder, str(self.name), name=name).eval()
            self._switch = Switch(self.model)
        self._names[folder] = name  # the last one asked for stands last
        return name

    def forget_adapters(self, keep: int, busy: Collection[str | None]) -> None:
        """Let go of the adapters asked for longest ago, down to `keep`; not of those in `busy`."""
        for folder, name in list(self._names.items()):
            if len(self._names) > keep and name not in busy:
                with warnings.catch_warnings(action="ignore"):  # of which is active: see Switch
                    self.model.delete_adapter(name)
                del self._names[folder]

    def score(
        self, prompt: list[int], token_ids: list[int], adapter: str | Path | None = None
    ) -> list[float]:
        """Log-probs (nats, temperature 1) of given tokens after a prompt, under one adapter."""
        layout = PackedGroups([prompt], [[token_ids]], output_weight(self.model).device)
        with self.forward(self.load_adapter(adapter)):
            hidden = states_of(self.model, layout)
            hidden = hidden[layout.predictors[0]]
            logits = head_of(self.model).logits(hidden, float32=self.float32_head)
            return logits.log_softmax(-1).gather(1, layout.targets[0][:, None])[:, 0].tolist()

    @contextlib.contextmanager
    def forward(self, adapter: str | None) -> Iterator[None]:
        """Within, the model computes with the adapter of that name, for inference."""
        was_training = self.model.training
        if was_training:  # setting it walks through all modules: not on every token
            self.model.eval()
        try:
            with torch.inference_mode(), contextlib.ExitStack() as stack:
                if self._switch is not None:
                    stack.enter_context(self._switch.on(adapter))
                yield
        finally:
            if was_training:
                self.model.train()

    def _sample(
        self, prompts: list[list[int]], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        groups: dict[int, list[Completion]] = {}
        keys = prompt_keys(prompts, params.seed)
        for part in self._batches(prompts, max(1, self.max_batch // n)):
            mine, own_keys = [prompts[i] for i in part], [keys[i] for i in part]
            run = Decoding(self, mine, n, self._active, params=params, keys=own_keys)
            for _ in run.steps():
                pass
            groups |= zip(part, run.completions(), strict=True)
        return [groups[i] for i in range(len(prompts))]

    def _batches(self, prompts: list[list[int]], size: int) -> Iterator[list[int]]:
        """Which prompts are decoded together; on the plain path those of one length only."""
        lengths = [0 if shares_prompts(self.model) else len(p) for p in prompts]
        for length in sorted(set(lengths)):
            alike = [i for i, own in enumerate(lengths) if own == length]
            for begin in range(0, len(alike), size):
                yield alike[begin : begin + size]

    def stream(
        self,
        prompt: str | list[int],
        adapters: Sequence[str | Path | None] = (None,),
        params: SamplingParams = SamplingParams(temperature=0.0),  # noqa: B008 - frozen
    ) -> Iterator[list[Completion]]:
        """One completion by each adapter as they grow, a token each a turn.

        None among the adapters stands for the base. Stop iterating to cancel.
        """
        names = [self.load_adapter(adapter) for adapter in adapters]
        prompts: Any = [prompt]
        ids = encode_prompts(self.tokenizer, prompts, self.context)
        keys = prompt_keys(ids, params.seed)
        runs = [Decoding(self, ids, 1, name, params=params, keys=keys) for name in names]
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
        params: SamplingParams,
        keys: list[int],
    ):
        """`keys`: the random stream of each prompt."""
        self.sampler, self.prompts, self.n = sampler, prompts, n
        self.adapter, self.params = adapter, params
        self.device = output_weight(sampler.model).device
        self.room = [min(params.max_tokens, sampler.context - len(p)) for p in prompts]
        self.eos = torch.tensor(eos_ids(sampler.model, sampler.tokenizer), device=self.device)
        self.keys = sequence_keys(keys, n).to(self.device)
        size = (len(prompts) * n, max(self.room))
        self.tokens = torch.zeros(size, dtype=torch.long, device=self.device)
        self.logprobs = torch.zeros(size, device=self.device)
        self.lengths = torch.zeros(size[0], dtype=torch.long, device=self.device)
        self.stopped = torch.zeros(size[0], dtype=torch.bool, device=self.device)

    def _forward(self, ids: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        with self.sampler.forward(self.adapter):
            return hidden_states(self.sampler.model, ids, positions, layout)

    def _begin(self) -> Float[Tensor, PN_d]:
        """The hidden states after the prompts; sets up the cache of the path that is taken."""
        if not shares_prompts(self.sampler.model):
            self.plain = PlainCache(self.sampler.model, self.prompts, self.n)
            self.cache: DecodeCache | None = None
            with self.sampler.forward(self.adapter):
                return self.plain.first()
        prompts = PromptPass(self.prompts, self.device)
        hidden = self._forward(prompts.ids, prompts.positions, prompts)
        self.cache = DecodeCache(prompts, self.n)
        return hidden[prompts.ends].repeat_interleave(self.n, 0)

    def _next(self, ids: Int[Tensor, B], positions: Int[Tensor, B]) -> Float[Tensor, B_d]:
        """The hidden states after one token more in each place."""
        if self.cache is not None:
            return self._forward(ids, positions, self.cache)
        with self.sampler.forward(self.adapter):
            return self.plain.next(ids[:, None])

    def steps(self) -> Iterator[None]:
        """Sample a token for every running sequence, then yield; ends when all have finished."""
        head = head_of(self.sampler.model)
        p, n = len(self.prompts), self.n
        hidden = self._begin()
        slots = torch.arange(p * n, device=self.device).view(p, n)  # which sequence is where
        running = torch.ones(p, n, dtype=torch.bool, device=self.device)
        lengths = torch.tensor([len(prompt) for prompt in self.prompts], device=self.device)
        positions = lengths[:, None].expand(p, n)
        room = torch.tensor(self.room, device=self.device)[:, None].expand(p, n)
        for step in range(max(self.room)):
            with torch.inference_mode():
                logits = head.logits(hidden, float32=self.sampler.float32_head)
                drawn, logprobs = draw(
                    logits, self.params, uniform(self.keys[slots.flatten()], step)
                )
            live = running.flatten()
            at = slots.flatten()[live]
            self.tokens[at, step] = drawn[live]
            self.logprobs[at, step] = logprobs[live]
            self.lengths[at] += 1
            ended = torch.isin(drawn, self.eos)
            if self.params.stop:
                ended[live] |= self._at_stop(at, step)
            self.stopped[at] |= ended[live]
            ended = ended.view_as(running)
            running = running & ~ended & (step + 1 < room)
            yield
            if not running.any():
                return
            following = drawn.view_as(running)
            if step and self.cache is not None:
                self.cache.advance()
            if self.cache is not None and (smaller := shrink(running)) is not None:
                rows, places = smaller
                self.cache.keep(rows, places)
                running, slots, positions, room, following = (
                    x[rows[:, None], places] for x in (running, slots, positions, room, following)
                )
            hidden = self._next(following.flatten(), (positions + step).flatten())

    def _at_stop(self, which: Int[Tensor, K], step: int) -> Bool[Tensor, K]:
        """Which of some sequences have just completed a stop string."""
        longest = max(map(len, self.params.stop))
        tails = self.tokens[which, max(0, step - longest) : step + 1].tolist()  # ≥ 1 character each
        texts = self.sampler.tokenizer.batch_decode(tails, skip_special_tokens=True)
        found = [any(one in text for one in self.params.stop) for text in texts]
        return torch.tensor(found, device=self.device)

    def completions(self) -> list[list[Completion]]:
        """What has been sampled so far, P × N."""
        lengths = self.lengths.tolist()
        done = [
            completion(ids[:k], logprobs[:k], not stopped, self.sampler.tokenizer, self.params.stop)
            for ids, logprobs, k, stopped in zip(
                self.tokens.tolist(),
                self.logprobs.tolist(),
                lengths,
                self.stopped.tolist(),
                strict=True,
            )
        ]
        return [done[i : i + self.n] for i in range(0, len(done), self.n)]


def sequence_keys(keys: list[int], n: int) -> Int[Tensor, PN]:
    """A random key for each sequence, made of its prompt's key and its place in the group."""
    base = torch.tensor(keys, dtype=torch.long)[:, None]
    return mix(base ^ mix(torch.arange(1, n + 1))[None]).flatten()
