"""What the ranks of a command share out: prompts to sample, and completions to check."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from common import ranks
from rewards import Checker, Verdict
from sampling import Completion, Sampler, SamplingParams

Around = Callable[[], contextlib.AbstractContextManager[Any]]


class SharedSampler(Sampler):
    """Each rank samples some of the prompts with its own engine; all get all completions.

    The completions of a prompt follow from seed and prompt alone, so they are those that one
    process would have sampled. Where only rank 0 has a sampler, that of servers which all share, it
    asks for everybody.
    """

    def __init__(
        self, sampler: Sampler | None, tokenizer: Any, around: Around = contextlib.nullcontext
    ):
        """`around` is entered by all ranks for the time of sampling."""
        self.inner, self.tokenizer, self._around = sampler, tokenizer, around
        self.backend = sampler.backend if sampler else "vllm-server"
        has = ranks.gather(sampler is not None)
        self._able = [number for number, able in enumerate(has) if able]
        contexts = ranks.gather(sampler.context if sampler else None)
        self.context = min(length for length in contexts if length is not None)

    def _sample(
        self, prompts: list[list[int]], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        def work(mine: list[list[int]]) -> list[list[Completion]]:
            assert self.inner is not None  # only those that have one own prompts
            return self.inner.sample(mine, n, params)

        with self._around():
            return ranks.shared(work, prompts, owners_of(prompts, self._able))

    def update_adapter(self, adapter: Any) -> None:
        if self.inner:
            self.inner.update_adapter(adapter)

    def sleep(self) -> None:
        if self.inner:
            self.inner.sleep()

    def wake(self) -> None:
        if self.inner:
            self.inner.wake()

    def close(self) -> None:
        if self.inner:
            self.inner.close()


def owners_of(prompts: Sequence[Sequence[int]], able: Sequence[int]) -> list[int]:
    """Which rank samples each prompt, in turn; one that occurs again goes to the same rank,
    which then knows that its random stream is another."""
    numbers: dict[tuple[int, ...], int] = {}
    for prompt in prompts:
        numbers.setdefault(tuple(prompt), len(numbers))
    return [able[numbers[tuple(prompt)] % len(able)] for prompt in prompts]


class SharedChecker(Checker):
    """Each rank checks some of the completions; all get all verdicts, time limits included."""

    def check_many(self, pairs: Iterable[Any]) -> list[Verdict]:
        return ranks.shared(super().check_many, list(pairs))
