"""One sampled answer."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from common.errors import UserError


@dataclasses.dataclass(slots=True)
class Completion:
    """One sampled answer.

    `token_ids` holds the end-of-sequence token where one was sampled; `text` does not show it.
    `logprobs` are natural logarithms under the distribution that was sampled from (temperature,
    top-k and top-p applied; at temperature 0, the plain softmax), one for each token.
    """

    text: str
    token_ids: list[int]
    logprobs: list[float]
    finish_reason: Literal["stop", "length"]


def completion(
    token_ids: Sequence[int],
    logprobs: Sequence[float],
    truncated: bool,
    tokenizer: Any,
    stop: Sequence[str] = (),
) -> Completion:
    """A completion from what an engine returned.

    With stop strings, `token_ids` ends with the token that completed one, and `text` before it.
    """
    if len(token_ids) != len(logprobs):
        raise ValueError(f"{len(token_ids)} tokens with {len(logprobs)} log-probs")
    text = cut_at_stop(tokenizer.decode(token_ids, skip_special_tokens=True), stop)
    return Completion(text, list(token_ids), list(logprobs), "length" if truncated else "stop")


def is_cut_off(finish_reason: str | None) -> bool:
    """Whether a completion ended at its limit. Raises UserError where the engine gave it up: half
    a text must not be taken for a finished one."""
    if finish_reason not in ("stop", "length"):
        raise UserError(f"the engine gave a completion up (finish reason: {finish_reason})")
    return finish_reason == "length"


def cut_at_stop(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first of the stop strings."""
    found = [at for at in (text.find(one) for one in stop) if at >= 0]
    return text[: min(found)] if found else text
