"""Asking checkpoints: one base in memory for each model, its adapters beside it.

Answers stream from the embedded sampler. Many samples are written by vLLM servers, where there are
some that serve the model, else by the embedded sampler too.
"""

import collections
import contextlib
import dataclasses
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.runs import Choice
from common.errors import UserError
from data import PromptTemplate
from sampling import Completion, Sampler, load_sampler
from sampling.torch_sampler import TorchSampler

MAX_BASES = 2
MAX_QUESTION = 4_000  # characters


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What one choice answered, and all that is needed to look at it again."""

    choice: Choice
    prompt: list[int]
    completion: Completion


class Answerer:
    """Streams the answers of some choices to one question.

    The model is held for one token at a time, so that several people's answers grow together and
    one who leaves in the middle holds up nobody.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """`servers`: addresses of vLLM servers that see the runs under the same path."""
        self.servers = list(servers)
        self._served: dict[str, Sampler | None] = {}
        self._serving = threading.Lock()
        self._samplers: collections.OrderedDict[str, TorchSampler] = collections.OrderedDict()
        self._lock = threading.Lock()

    def stream(
        self, question: str, choices: list[Choice], temperature: float, seed: int
    ) -> Iterator[list[Answer]]:
        """The answers as they grow; raises UserError for what cannot be asked."""
        question = _checked(question, choices)
        latest: list[Answer] = []
        growing: dict[int, Iterator[list[Completion]]] = {}
        for i, choice in enumerate(choices):
            with self._lock:
                sampler = self._sampler(choice.model)
            prompt = PromptTemplate(sampler.tokenizer, choice.template).encode(question)
            latest.append(Answer(choice, prompt, Completion("", [], [], "length")))
            growing[i] = sampler.stream(
                prompt, [choice.adapter], temperature, choice.max_tokens, seed
            )
        while growing:
            for i in list(growing):
                with self._lock:
                    grown = next(growing[i], None)
                if grown is None:
                    del growing[i]
                else:
                    latest[i] = dataclasses.replace(latest[i], completion=grown[0])
            yield list(latest)

    def sample(
        self, question: str, choices: list[Choice], n: int, seed: int
    ) -> Iterator[list[list[Completion]]]:
        """n completions by each choice, at temperature 1: a choice more each time."""
        question = _checked(question, choices)
        groups: list[list[Completion]] = []
        for choice in choices:
            prompt = PromptTemplate(self.tokenizer(choice), choice.template).encode(question)
            with self._writer(choice.model) as writer:
                writer.update_adapter(choice.adapter)
                groups += writer.sample([prompt], n, 1.0, choice.max_tokens, seed)
            yield list(groups)

    @contextlib.contextmanager
    def _writer(self, model: str) -> Iterator[Sampler]:
        """The sampler that writes many samples of a model, for this caller alone."""
        with self._serving:
            if self.servers and model not in self._served:
                try:
                    served = load_sampler("vllm-server", model, servers=self.servers)
                except UserError as error:
                    print(f"{error}; the app samples {model} by itself", file=sys.stderr)
                    served = None
                self._served[model] = served
            if server := self._served.get(model):
                yield server
                return
        with self._lock:
            yield self._sampler(model)

    def tokenizer(self, choice: Choice):
        """The tokenizer of a choice."""
        with self._lock:
            return self._sampler(choice.model).tokenizer

    def logprobs(self, choice: Choice, answer: Answer, token_ids: list[int]) -> list[float]:
        """How likely `choice` finds each of some tokens (nats) as a reply to the same prompt."""
        with self._lock:
            sampler = self._sampler(choice.model)
            return sampler.score(answer.prompt, token_ids, choice.adapter)

    def _sampler(self, model: str) -> TorchSampler:
        if model not in self._samplers:
            if len(self._samplers) >= MAX_BASES:
                self._samplers.popitem(last=False)
            self._samplers[model] = TorchSampler(model)
        self._samplers.move_to_end(model)
        return self._samplers[model]


def _checked(question: str, choices: list[Choice]) -> str:
    """The question without spaces around it; UserError for what cannot be asked."""
    question = question.strip()
    if not question:
        raise UserError("type a problem first, or pick one")
    if len(question) > MAX_QUESTION:
        raise UserError(f"the problem is too long: at most {MAX_QUESTION} characters")
    for choice in choices:
        if choice.adapter and not Path(choice.adapter).is_dir():
            raise UserError(f"{choice.label} is no longer there; reload the page")
    return question
