"""One sampled answer."""

import dataclasses
from typing import Literal


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
