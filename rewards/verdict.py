"""What the checker says of one completion."""

import dataclasses
import json
import time

from rewards.equality.answers import Decision
from rewards.extract import Extraction


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a completion's answer equals the gold, and why.

    `reward` is 1 or 0; `extracted` the answer found in the completion, or None; `rule` the mark
    it was found by (`tag`, `boxed`, `hashes`, `phrase`, `unmarked`; `none` or `unfinished thought`
    where there is no answer); `reason` that and what decided, for people; `seconds` how long it
    took; `read_as` how the answer was understood.
    """

    reward: int
    extracted: str | None
    reason: str
    seconds: float
    read_as: str | None = None
    rule: str = "none"

    def to_json(self) -> str:
        """The verdict as one line of a verdict file."""
        fields = dataclasses.asdict(self)
        del fields["read_as"], fields["rule"]
        return json.dumps(fields, ensure_ascii=False)


def verdict(found: Extraction, decision: Decision, begun: float) -> Verdict:
    """The verdict on what was found, decided since `begun` (of `time.perf_counter`)."""
    reward, reason, read_as = decision
    seconds = time.perf_counter() - begun
    return Verdict(reward, found.text, f"{found.rule}: {reason}", seconds, read_as, found.rule)
