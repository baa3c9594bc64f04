"""Asking checkpoints: one base in memory for each model, its adapters beside it."""

import collections
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.runs import Choice
from common.errors import UserError
from data import PromptTemplate
from sampling import Completion
from sampling.torch_sampler import TorchSampler

MAX_BASES = 2
MAX_QUESTION = 4_000  # characters


class Answerer:
    """Streams the answers of two or more choices to one question."""

    def __init__(self) -> None:
        self._samplers: collections.OrderedDict[str, TorchSampler] = collections.OrderedDict()
        self._lock = threading.Lock()  # adapters share their base: one request at a time

    def stream(
        self, question: str, choices: list[Choice], temperature: float, seed: int
    ) -> Iterator[list[Completion]]:
        """The answers as they grow; raises UserError for what cannot be asked."""
        question = _checked(question, choices)
        with self._lock:
            growing: list[Iterator[list[Completion]]] = []
            for choice in choices:
                sampler = self._sampler(choice.model)
                prompt = PromptTemplate(sampler.tokenizer, choice.template).encode(question)
                growing.append(
                    sampler.stream(prompt, [choice.adapter], temperature, choice.max_tokens, seed)
                )
            latest: list[Completion] = [Completion("", [], [], "length") for _ in choices]
            going = list(range(len(choices)))
            while going:
                for i in list(going):
                    try:
                        latest[i] = next(growing[i])[0]
                    except StopIteration:
                        going.remove(i)
                yield list(latest)

    def sample(
        self, question: str, choices: list[Choice], n: int, seed: int
    ) -> list[list[Completion]]:
        """n completions by each choice, at temperature 1."""
        question = _checked(question, choices)
        groups = []
        with self._lock:
            for choice in choices:
                sampler = self._sampler(choice.model)
                prompt = PromptTemplate(sampler.tokenizer, choice.template).encode(question)
                sampler.update_adapter(choice.adapter)
                groups += sampler.sample([prompt], n, 1.0, choice.max_tokens, seed)
        return groups

    def tokenizers(self, choices: list[Choice]) -> list[Any]:
        """The tokenizer of each choice."""
        return [self._sampler(choice.model).tokenizer for choice in choices]

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
