"""How tokens are drawn, and how many: the one description that all rooms hand around."""

import dataclasses

from common.errors import UserError


@dataclasses.dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a completion is sampled.

    `temperature` 0 is greedy; `top_k` 0, `top_p` 1 and `min_p` 0 cut nothing. A completion ends
    after `max_tokens` tokens, with an end-of-sequence token, or with the token that completes one
    of the `stop` strings. Raises UserError for values that make no sense.
    """

    temperature: float = 1.0
    max_tokens: int = 256
    seed: int = 0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise UserError(
                f"the temperature must be 0 (greedy) or positive, not {self.temperature}"
            )
        if self.max_tokens < 1:
            raise UserError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not 0.0 < self.top_p <= 1.0 or self.top_k < 0 or not 0.0 <= self.min_p < 1.0:
            raise UserError(
                "top_p must lie in (0, 1], min_p in [0, 1), and top_k must not be negative"
            )
        if isinstance(self.stop, str) or not all(self.stop):
            raise UserError("stop must be a list of strings that are not empty")
