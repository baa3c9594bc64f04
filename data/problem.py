"""A mathematics problem, and the one file format in which we keep it."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from common.files import write_text


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One problem. `answer` is the gold; `solution` a worked answer that ends in the gold."""

    id: str
    question: str
    answer: str
    solution: str | None = None
    source: str | None = None
    level: str | None = None

    def to_json(self) -> str:
        """The problem as one JSON line, absent fields left out."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return json.dumps(fields, ensure_ascii=False)


def write_problems(path: str | Path, problems: Iterable[Problem]) -> None:
    """Write problems as JSON lines, whole or not at all."""
    write_text(path, "".join(problem.to_json() + "\n" for problem in problems))
