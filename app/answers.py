"""Asking models: one base for many adapters, loaded while others are answered.

vLLM servers write where there are some that serve the model, else this process does.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.bases import Base, Bases, Grown
from app.runs import Choice
from app.values import MAX_QUESTION
from common.errors import UserError
from data import PromptTemplate
from sampling import Completion, SamplingParams

TURN = 0.1  # seconds between two looks at answers that grow
AT_WORK = 24  # people answered together; more wait in the queue
LOOK = 0.3  # seconds between two looks at a model that is being loaded


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What one choice answered, and all that is needed to look at it again.

    `waiting` says what is waited for, while it is; empty once the answer grows.
    """

    choice: Choice
    prompt: list[int]
    completion: Completion
    waiting: str = ""


class Answerer:
    """Streams the answers of some choices to one question.

    All that is asked of a base is written in one batch, token by token, so that several people's
    answers grow together and one who leaves in the middle holds up nobody.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """`servers`: addresses of vLLM servers that see the runs under the same path."""
        self.bases = Bases(servers)

    def stream(
        self, question: str, choices: list[Choice], temperature: float, seed: int
    ) -> Iterator[list[Answer]]:
        """The answers as they grow; raises UserError for what cannot be asked."""
        question = checked_question(question, choices)
        latest = [Answer(choice, [], Completion("", [], [], "length")) for choice in choices]
        bases: list[Base] = []
        for waiting in self._loaded(choices, bases):
            latest = [dataclasses.replace(a, waiting=waiting) for a in latest]
            yield list(latest)
        pairs = list(zip(choices, bases, strict=True))
        prompts = [prompt_of(c, base.tokenizer).encode(question) for c, base in pairs]
        latest = [Answer(c, p, latest[0].completion) for c, p in zip(choices, prompts, strict=True)]
        for grown in self._grown(pairs, prompts, 1, temperature, seed):
            latest = [
                dataclasses.replace(a, completion=g()[0]) if g else a
                for a, g in zip(latest, grown, strict=True)
            ]
            yield list(latest)

    def sample(
        self, question: str, choices: list[Choice], n: int, seed: int
    ) -> Iterator[tuple[str, list[list[Completion]]]]:
        """n completions by each choice, at temperature 1, with what is being waited for.

        A choice more each time; the last item holds those of all.
        """
        question = checked_question(question, choices)
        groups: list[list[Completion]] = []
        for choice in choices:
            bases: list[Base] = []
            for waiting in self._loaded([choice], bases):
                yield waiting, list(groups)
            yield f"{choice.label} writes {n} samples", list(groups)
            prompt = prompt_of(choice, bases[0].tokenizer).encode(question)
            for [grown] in self._grown([(choice, bases[0])], [prompt], n, 1.0, seed):
                assert grown is not None
                texts = grown()
                tokens = sum(len(c.token_ids) for c in texts)
                yield f"{choice.label} writes {n} samples, {tokens:,} tokens so far", list(groups)
            groups.append(texts)
        yield "", groups

    def _grown(
        self,
        pairs: Sequence[tuple[Choice, Base]],
        prompts: Sequence[list[int]],
        n: int,
        temperature: float,
        seed: int,
    ) -> Iterator[list[Grown | None]]:
        """What each choice has written so far: its first token at once, then as often as read."""
        latest: list[Grown | None] = [None] * len(pairs)
        with contextlib.ExitStack() as stack:  # who leaves takes all of its requests along
            growing = {}
            for i, ((choice, base), prompt) in enumerate(zip(pairs, prompts, strict=True)):
                params = SamplingParams(temperature, choice.max_tokens, seed, stop=choice.stop)
                written = base.write(prompt, n, choice.adapter, params)
                growing[i] = stack.enter_context(contextlib.closing(written))
            told = 0.0
            while growing:
                for i in list(growing):
                    grown = next(growing[i], None)
                    if grown is None:
                        del growing[i]
                    else:
                        latest[i] = grown
                if not growing or time.monotonic() - told > TURN:
                    told = time.monotonic()
                    yield list(latest)

    def _loaded(self, choices: Sequence[Choice], bases: list[Base]) -> Iterator[str]:
        """Load what the choices need, into `bases`; yields what is waited for meanwhile."""
        begun = time.monotonic()
        for choice in choices:
            while (base := self.bases.get(choice.model, LOOK)) is None:
                yield f"loading {choice.model}, {time.monotonic() - begun:.0f} s"
            bases.append(base)

    def tokenizer(self, choice: Choice) -> Any:
        """The tokenizer of a choice."""
        return self.bases.wait(choice.model).tokenizer

    def prompt_text(self, question: str, choice: Choice) -> str:
        """The prompt as it is sent: the template and its system message filled in."""
        return prompt_of(choice, self.tokenizer(choice)).render(question)

    def logprobs(self, choice: Choice, prompt: list[int], token_ids: list[int]) -> list[float]:
        """How likely `choice` finds each of some tokens (nats) as a reply to a prompt."""
        return self.bases.wait(choice.model).score(prompt, token_ids, choice.adapter)

    def close(self) -> None:
        """Leave nothing on the servers."""
        self.bases.close()


def prompt_of(choice: Choice, tokenizer: Any) -> PromptTemplate:
    """How a choice is asked: as in its run's training."""
    return PromptTemplate(tokenizer, **choice.prompt)


def checked_question(question: str, choices: Sequence[Choice]) -> str:
    """The question without spaces around it; UserError for what cannot be asked."""
    question = question.strip()
    if not question:
        raise UserError("type a problem first, or press Random problem")
    if len(question) > MAX_QUESTION:
        raise UserError(f"the problem is too long: at most {MAX_QUESTION} characters")
    for choice in choices:
        if choice.adapter and not Path(choice.adapter).is_dir():
            raise UserError(f"{choice.label} is no longer there; reload the page")
    return question
