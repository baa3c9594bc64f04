"""A mathematics problem, and the one file format in which we keep it."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.files import write_text


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One problem. `answer` is the gold; `solution` a worked answer that ends in the gold.

    `messages`, where the data set brings its own chat, is the prompt as it is to be sent; then
    `question` is the text of its last user turn. `task`, where the problem is one of a task that
    scores answers itself, is that task as a source names it and the place in it.
    """

    id: str
    question: str
    answer: str
    solution: str | None = None
    source: str | None = None
    level: str | None = None
    messages: tuple[dict[str, Any], ...] | None = dataclasses.field(default=None, hash=False)
    task: tuple[str, int] | None = None

    def to_json(self) -> str:
        """The problem as one JSON line, absent fields left out."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return json.dumps(fields, ensure_ascii=False)


def write_problems(path: str | Path, problems: Iterable[Problem]) -> None:
    """Write problems as JSON lines, whole or not at all."""
    write_text(path, "".join(problem.to_json() + "\n" for problem in problems))


def fingerprint(problems: Iterable[Problem]) -> str:
    """A hash of all that training sees: ids, prompts and golds, in their order."""
    digest = hashlib.sha256()
    for problem in problems:
        seen = [problem.id, problem.question, problem.answer, problem.messages]
        digest.update(json.dumps(seen, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:16]


def with_unique_ids(problems: Iterable[Problem]) -> list[Problem]:
    """The problems in their order; an id that was there before gets a number: `a`, `a#2`, `a#3`."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    unique = []
    for problem in problems:
        name = problem.id
        while name in taken:
            counts[problem.id] = counts.get(problem.id, 1) + 1
            name = f"{problem.id}#{counts[problem.id]}"
        taken.add(name)
        unique.append(problem if name == problem.id else dataclasses.replace(problem, id=name))
    return unique
