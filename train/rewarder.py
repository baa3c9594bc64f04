"""What a completion is paid: the checker's verdict and other reward functions, weighted."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from common.errors import UserError
from common.shapes import P_N
from data import Problem
from rewards import Verdict
from rewards.workers.functions import FunctionRunner
from sampling import Completion
from train.config.sections import Reward

SHAPING = ("format", "length", "repetition")  # these never tell right from wrong
Rewards = dict[str, Float[Tensor, P_N]]  # by the name of the function


class Rewarder:
    """The reward functions of a run; usable as a context manager."""

    def __init__(self, settings: Reward, max_tokens: int, warn: Callable[[str], None] = print):
        """`warn` is told of a function that fails. Raises UserError for one that is not there."""
        self._weights: dict[str, float] = {}
        self._runners: dict[str, FunctionRunner] = {}
        self._max_tokens, self._warn = max_tokens, warn
        self._said: set[str] = set()
        for function in settings.functions:
            name = function.path.rpartition(":")[2]
            if name in self._weights:
                raise UserError(f"reward.functions names '{name}' twice")
            self._weights[name] = function.weight
            if name != "correct":
                self._runners[name] = FunctionRunner(function.path, settings.timeout)

    def score(
        self,
        problems: Sequence[Problem],
        completions: list[list[Completion]],
        verdicts: list[list[Verdict]],
        step: int,
    ) -> Rewards:
        """Each function's reward for each completion."""
        found = {}
        for name in self._weights:
            groups = zip(problems, completions, verdicts, strict=True)
            if name == "correct":
                found[name] = [[float(v.reward) for v in group] for group in verdicts]
            else:
                found[name] = [self._of_group(name, *group, step) for group in groups]
        return {name: torch.tensor(values) for name, values in found.items()}

    def _of_group(
        self,
        name: str,
        problem: Problem,
        group: list[Completion],
        verdicts: list[Verdict],
        step: int,
    ) -> list[float]:
        contexts = [
            {
                "verdict": verdict,
                "tokens": len(completion.token_ids),
                "max_tokens": self._max_tokens,
                "finish_reason": completion.finish_reason,
                "step": step,
            }
            for completion, verdict in zip(group, verdicts, strict=True)
        ]
        try:
            return self._runners[name].score([c.text for c in group], problem, contexts)
        except UserError as error:  # the group earns nothing by it, the step goes on
            if str(error) not in self._said:
                self._said.add(str(error))
                self._warn(f"step {step}: {error}; its reward is 0 for this group")
            return [0.0] * len(group)

    def total(self, rewards: Rewards) -> Float[Tensor, P_N]:
        """The weighted sum of all functions."""
        return _sum(self._weights[name] * value for name, value in rewards.items())

    def outcome(self, rewards: Rewards) -> Float[Tensor, P_N] | None:
        """What decides whether a group has a signal; None: correctness alone."""
        telling = [name for name in rewards if name not in SHAPING]
        if telling in ([], ["correct"]):
            return None
        return _sum(self._weights[name] * rewards[name] for name in telling)

    def close(self) -> None:
        """Stop the functions' processes."""
        for runner in self._runners.values():
            runner.close()

    def __enter__(self) -> "Rewarder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sum(values) -> Float[Tensor, P_N]:  # type: ignore[no-untyped-def]
    return torch.stack(list(values)).sum(0)
