"""Reward functions: those that come with the program, and the user's own, loaded and run safely.

A reward function takes one completion and its problem, or all completions of a group:

    def reward(completion: str, problem, **context) -> float
    def reward(completions: list[str], problem, **context) -> list[float]

The context names what is known of a completion (`verdict`, `tokens`, `max_tokens`, …); a function
gets those that it has parameters for. For a group each is a list, one entry a completion.
Correctness stays what evaluation reports.
"""

import importlib
import importlib.util
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError, first_line, nearest
from rewards.checker import check
from rewards.extract import extract

_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*\S.*", re.S)


def format_reward(completion: str, *, think: bool = False) -> float:
    """1.0 if the answer is in a `\\boxed{…}`, and with `think` behind one `<think>` block."""
    found = extract(completion, strict=True)
    boxed = found.rule == "boxed" and bool(found.parts)
    thought = completion.count("<think>") == 1 and bool(_THOUGHT.fullmatch(completion))
    return float(boxed and (thought or not think))


def length_penalty(tokens: int, *, free: int, limit: int) -> float:
    """0.0 up to `free` tokens, falling linearly to −1.0 at `limit` and beyond.

    The soft overlong punishment of DAPO (Yu et al. 2025, eq. 13), with `limit − free` its cache.
    Raises ValueError unless 0 ≤ free < limit.
    """
    if not 0 <= free < limit:
        raise ValueError("the free length must be below the limit")
    return -min(1.0, max(0.0, (tokens - free) / (limit - free)))


def repetition_penalty(completion: str, *, n: int = 4) -> float:
    """Minus the share of n-grams of words that repeat an earlier one: 0.0 for none, towards −1.0.

    Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError("n-grams have at least one word")
    words = completion.split()
    grams = Counter(zip(*(words[i:] for i in range(n)), strict=False))
    total = sum(grams.values())
    return -(total - len(grams)) / total if total else 0.0


def _correct(completion: str, problem: Any, verdict: Any = None) -> float:
    return float((verdict or check(completion, problem.answer)).reward)


def _format(completion: str, problem: Any) -> float:
    return format_reward(completion)


def _length(completion: str, problem: Any, tokens: int, max_tokens: int) -> float:
    """The last fifth of `max_tokens` costs, as in DAPO."""
    return length_penalty(tokens, free=max_tokens * 4 // 5, limit=max_tokens)


def _repetition(completion: str, problem: Any) -> float:
    return repetition_penalty(completion)


BUILT_IN: dict[str, Callable[..., Any]] = {
    "correct": _correct, "format": _format, "length": _length, "repetition": _repetition,
}  # fmt: skip


@dataclass(frozen=True)
class RewardFunction:
    """A function loaded from `path`; `is_group`: it takes all completions of a group at once."""

    path: str
    function: Callable[..., Any]
    is_group: bool
    wanted: tuple[str, ...] | None  # names of its context, None for all

    @property
    def is_built_in(self) -> bool:
        return self.path in BUILT_IN

    def known(self, context: dict[str, Any]) -> dict[str, Any]:
        """What the function wants to know of a context."""
        if self.wanted is None:
            return context
        return {name: context[name] for name in self.wanted if name in context}

    def score(
        self, completions: Sequence[str], problem: Any, contexts: Sequence[dict[str, Any]]
    ) -> list[Any]:
        """What the function returns for each completion, unchecked."""
        if self.is_group:
            names = contexts[0] if contexts else {}
            columns = {name: [context[name] for context in contexts] for name in self.known(names)}
            return list(self.function(list(completions), problem, **columns))
        pairs = zip(completions, contexts, strict=True)
        return [self.function(text, problem, **self.known(context)) for text, context in pairs]


def load_function(path: str) -> RewardFunction:
    """The function that a short name, `package.module:function` or `file.py:function` names.

    Raises UserError in one line for whatever is wrong with it.
    """
    if path in BUILT_IN:
        return _described(path, BUILT_IN[path])
    where, colon, name = path.rpartition(":")
    if not colon or not where or not name:
        raise UserError(
            f"reward function '{path}': give {', '.join(BUILT_IN)}, package.module:function or "
            f"path/to/file.py:function{nearest(path, BUILT_IN)}"
        )
    try:
        module = _from_file(where) if where.endswith(".py") else importlib.import_module(where)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(
            f"reward function '{path}': '{where}' cannot be imported ({first_line(error)})"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        callables = [key for key, value in vars(module).items() if callable(value)]
        raise UserError(
            f"reward function '{path}': '{where}' has no function '{name}'"
            + nearest(name, callables)
        )
    return _described(path, function)


def _from_file(where: str) -> Any:
    file = Path(where)
    if not file.is_file():
        raise UserError(f"reward function: there is no file '{where}'")
    name = f"reward_{file.stem}_{abs(hash(str(file.resolve())))}"
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def _described(path: str, function: Callable[..., Any]) -> RewardFunction:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise UserError(f"reward function '{path}': its parameters cannot be read") from None
    names = [parameter.name for parameter in parameters]
    if names[:1] not in (["completion"], ["completions"]) or names[1:2] != ["problem"]:
        raise UserError(
            f"reward function '{path}': its first parameters must be (completion, problem) or, "
            f"for a group, (completions, problem), not ({', '.join(names[:2])})"
        )
    everything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    wanted = None if everything else tuple(names[2:])
    return RewardFunction(path, function, names[0] == "completions", wanted)
