"""One batch for everybody who asks: requests join and leave it between two tokens.

Continuous batching (Yu et al., Orca, OSDI 2022): what all callers wait for is decoded together, so
twenty people have their first token after one pass over their prompts, not after one another's
answers. There is no thread: whoever wants the next token takes a step for all, under one lock.
"""

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from common.errors import UserError, out_of_memory
from common.shapes import B_d, K, L_d
from models.head import head_of
from models.loading import eos_ids
from models.packed import Layout, hidden_states, output_weight
from models.plain import shares_prompts
from sampling.completion import Completion, completion
from sampling.decode import PromptPass, uniform
from sampling.draw import draw
from sampling.params import SamplingParams
from sampling.rows import RowCache
from sampling.sampler import encode_prompts
from sampling.seeds import prompt_keys
from sampling.torch_sampler import Decoding, TorchSampler, sequence_keys

MAX_ADAPTERS = 8  # in memory, beside those at work
MAX_ROWS = 256  # sequences decoded at once; more wait


@dataclasses.dataclass(eq=False)
class Request:
    """N completions of one prompt on their way, under one adapter (by its name in the sampler)."""

    prompt: list[int]
    adapter: str | None
    params: SamplingParams
    room: int  # tokens each may have
    keys: Int[Tensor, K]  # its random streams
    tokens: list[list[int]] = dataclasses.field(init=False)
    logprobs: list[list[float]] = dataclasses.field(init=False)
    ended: list[bool] = dataclasses.field(init=False)
    turn: int = 0
    left: bool = False
    error: Exception | None = None
    alone: tuple[Decoding, Iterator[None]] | None = None  # where a family cannot share a batch

    def __post_init__(self) -> None:
        self.tokens, self.logprobs = [[] for _ in self.keys], [[] for _ in self.keys]
        self.ended = [False for _ in self.keys]

    def goes_on(self, place: int) -> bool:
        """Whether one of its completions is to have a token more."""
        return not (self.ended[place] or self.left or len(self.tokens[place]) >= self.room)

    @property
    def done(self) -> bool:
        """Whether all its completions have ended."""
        return not any(self.goes_on(place) for place in range(len(self.tokens)))

    def completions(self, tokenizer: Any) -> list[Completion]:
        """What has been written so far."""
        return [
            completion(ids, logprobs, not ended, tokenizer, self.params.stop)
            for ids, logprobs, ended in zip(self.tokens, self.logprobs, self.ended, strict=True)
        ]


class SharedBatch:
    """What all callers ask of one model and its adapters, decoded together."""

    def __init__(self, sampler: TorchSampler):
        """`lock` is held by whoever computes with the sampler."""
        self.sampler = sampler
        self.lock = threading.Lock()
        self._waiting: collections.deque[Request] = collections.deque()
        self._running: dict[str | None, _Rows] = {}  # by adapter
        self._alone: list[Request] = []

    def write(
        self, prompt: list[int], n: int, adapter: str | Path | None, params: SamplingParams
    ) -> Generator[Request, None, None]:
        """N completions of a prompt, a token more each turn; the same tokens as `sample` gives.

        Stop iterating, and close, to leave. Raises UserError for a prompt without room, an adapter
        that does not fit, or a lack of memory.
        """
        [prompt] = encode_prompts(self.sampler.tokenizer, [prompt], self.sampler.context)
        keys = sequence_keys(prompt_keys([prompt], params.seed), n)
        room = min(params.max_tokens, self.sampler.context - len(prompt))
        with self.lock:
            name = self.sampler.load_adapter(adapter)
            mine = Request(prompt, name, params, room, keys)
            self._waiting.append(mine)
            self.sampler.forget_adapters(MAX_ADAPTERS, self._busy())
        told = 0
        try:
            while True:
                if mine.turn == told:
                    with self.lock:
                        if mine.turn == told and mine.error is None:
                            self._step()
                if mine.error is not None:
                    raise mine.error
                if mine.turn > told:
                    told, ended = mine.turn, mine.done  # others may take steps while it is read
                    yield mine
                    if ended:
                        return
        finally:
            mine.left = True

    def _busy(self) -> set[str | None]:
        """The adapters that somebody's answer is written under."""
        return {*self._running, *(one.adapter for one in [*self._waiting, *self._alone])}

    def _step(self) -> None:
        """A token more for everybody; prompts that came since the last step get their first."""
        new: dict[str | None, list[Request]] = collections.defaultdict(list)
        rows = sum(len(running.owners) for running in self._running.values())
        while self._waiting and (not rows or rows + len(self._waiting[0].tokens) <= MAX_ROWS):
            one = self._waiting.popleft()
            if one.left:
                continue
            rows += len(one.tokens)
            new[one.adapter].append(one)
        for name in [*self._running, *(name for name in new if name not in self._running)]:
            if not shares_prompts(self.sampler.model):
                self._alone += new[name]
                continue
            running = self._running.setdefault(name, _Rows(self.sampler, name))
            members = [*{id(r): r for r, _ in running.owners}.values(), *new[name]]
            with _told_to(members):
                running.step(new[name])
            if not running.owners or any(one.error for one in members):
                del self._running[name]
        for one in self._alone:
            with _told_to([one]):
                _step_alone(self.sampler, one)
        self._alone = [one for one in self._alone if not (one.error or one.done)]


@contextlib.contextmanager
def _told_to(requests: Sequence[Request]) -> Iterator[None]:
    """Inside, an error becomes that of some requests: whoever takes a step takes it for others."""
    try:
        yield
    except Exception as error:
        told = UserError("out of memory while answering; ask fewer times at once")
        for one in requests:
            one.error = told if out_of_memory(error) else error


def _step_alone(sampler: TorchSampler, one: Request) -> None:
    """A token more for a request whose model cannot share a batch."""
    if one.alone is None:
        n, keys = len(one.tokens), prompt_keys([one.prompt], one.params.seed)
        made = Decoding(sampler, [one.prompt], n, one.adapter, params=one.params, keys=keys)
        one.alone = made, made.steps()
    decoding, steps = one.alone
    next(steps, None)
    for place, length in enumerate(decoding.lengths.tolist()):
        one.tokens[place] = decoding.tokens[place, :length].tolist()
        one.logprobs[place] = decoding.logprobs[place, :length].tolist()
        one.ended[place] = bool(decoding.stopped[place])
    one.turn += 1


class _Rows:
    """The sequences under one adapter; each row is a place of a request."""

    def __init__(self, sampler: TorchSampler, adapter: str | None):
        self.sampler, self.adapter = sampler, adapter
        self.device = output_weight(sampler.model).device
        self.ends = set(eos_ids(sampler.model, sampler.tokenizer))
        self.cache = RowCache(self.device)
        self.owners: list[tuple[Request, int]] = []

    @torch.inference_mode()
    def step(self, new: Sequence[Request]) -> None:
        """A token more in each row, the first one of new requests."""
        if self.owners:
            self.cache.make_room()
            last = [request.tokens[place][-1] for request, place in self.owners]
            ids = torch.tensor(last, device=self.device)
            hidden = self._forward(ids, self.cache.lengths, self.cache)
            self.cache.lengths += 1
            self._write(self.owners, hidden)
        if new:
            prompts = PromptPass([one.prompt for one in new], self.device)
            hidden = self._forward(prompts.ids, prompts.positions, prompts)[prompts.ends]
            times = [len(one.tokens) for one in new]
            joined = [(one, place) for one in new for place in range(len(one.tokens))]
            self.cache.join(prompts, times)
            self._write(joined, hidden.repeat_interleave(torch.tensor(times).to(self.device), 0))
            self.owners += joined
        for one in {id(request): request for request, _ in self.owners}.values():
            one.turn += 1
        kept = [at for at, (request, place) in enumerate(self.owners) if request.goes_on(place)]
        if len(kept) < len(self.owners):
            self.cache.keep(kept)
            self.owners = [self.owners[at] for at in kept]

    def _forward(self, ids: Tensor, positions: Tensor, layout: Layout) -> Float[Tensor, L_d]:
        with self.sampler.forward(self.adapter):
            return hidden_states(self.sampler.model, ids, positions, layout)

    def _write(self, owners: list[tuple[Request, int]], hidden: Float[Tensor, B_d]) -> None:
        """Draw a token for each row, those with the same parameters together."""
        logits = head_of(self.sampler.model).logits(hidden)
        alike: dict[Any, list[int]] = collections.defaultdict(list)
        for at, (request, _) in enumerate(owners):
            p = request.params
            alike[p.temperature, p.top_p, p.top_k, p.min_p].append(at)
        for rows in alike.values():
            mine = [owners[at] for at in rows]
            keys = torch.stack([request.keys[place] for request, place in mine])
            steps = torch.tensor([len(request.tokens[place]) for request, place in mine])
            chance = uniform(keys, steps).to(self.device)
            drawn, logprobs = draw(logits[rows], mine[0][0].params, chance)
            for (request, place), token, logprob in zip(
                mine, drawn.tolist(), logprobs.tolist(), strict=True
            ):
                request.tokens[place].append(token)
                request.logprobs[place].append(logprob)
                request.ended[place] = token in self.ends or self._at_stop(request, place)

    def _at_stop(self, request: Request, place: int) -> bool:
        """Whether a completion has just completed a stop string."""
        if not request.params.stop:
            return False
        longest = max(map(len, request.params.stop))
        tail = request.tokens[place][-longest - 1 :]  # a token has a character at least
        text = self.sampler.tokenizer.decode(tail, skip_special_tokens=True)
        return any(one in text for one in request.params.stop)
