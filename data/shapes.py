"""Which column of a record is what: recognised by name, or as `fields` says.

Names count without regard to case; a dotted name reaches into nested objects. For each role the
first name that is there serves.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from common.errors import UserError, nearest
from data.golds import boxed_answer, read_gold
from data.problem import Problem

# Role -> the names it goes by, the more telling first. Data sets that have them, where not plain:
# final_answer: DeepMath, OlympiadBench; reward_model: DAPO-Math and others made for verl;
# expected_answer: OpenMathReasoning; r1_solution_1: DeepMath; unique_id: MATH-500; uuid: OpenR1.
NAMES: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "prompt"),
    "answer": (
        *("final_answer", "reward_model.ground_truth", "ground_truth", "expected_answer"),
        "answer",
    ),
    "solution": ("solution", "r1_solution_1", "generated_solution"),
    "id": ("id", "unique_id", "uuid", "problem_id", "question_id", "extra_info.index"),
    "source": ("source", "data_source"),
    "level": ("level", "difficulty"),
    "messages": ("messages",),
}
NEEDED = ("question", "answer")
PLUS = " + "  # joins columns: the question of SVAMP is Body + Question
BOXED = "the box of {}"  # where the gold of a row is the last box of its solution

Columns = dict[str, str]  # role -> column, as `describe`d to the user


def check_fields(fields: Mapping[str, str] | None) -> None:
    """Raises UserError for a mapping that names unknown roles, or no columns."""
    for role, column in (fields or {}).items():
        if role not in NAMES:
            raise UserError(
                f"fields: unknown field '{role}'{nearest(role, NAMES)}; "
                f"known are {', '.join(NAMES)}"
            )
        if not isinstance(column, str) or not column.strip():
            raise UserError(f"fields.{role} must name a column, not {column!r}")


def recognise(record: Mapping[str, Any], fields: Mapping[str, str] | None = None) -> Columns:
    """Which column serves for which role; raises ValueError where there is no question or gold."""
    given = dict(fields or {})
    lower = {str(name).casefold(): str(name) for name in record}
    names = dict(NAMES)
    if {"body", "question", "answer"} <= lower.keys():  # SVAMP
        given.setdefault("question", f"{lower['body']}{PLUS}{lower['question']}")
        names["level"] = ("type", *NAMES["level"])
    columns = {}
    for role, known in names.items():
        if role in given:
            _check_there(record, given[role], needed=role in NEEDED)
            columns[role] = given[role]
            continue
        for name in known:
            head, _, rest = name.partition(".")
            path = f"{lower.get(head, head)}.{rest}" if rest else lower.get(head, head)
            if has(record, path):
                columns[role] = path
                break
    if "answer" not in columns and "solution" in columns:
        columns["answer"] = BOXED.format(columns["solution"])
    if lacking := [role for role in NEEDED if role not in columns]:
        raise ValueError(
            f"no known shape: no {' and no '.join(lacking)} among the fields "
            f"{', '.join(map(str, record)) or '(none)'}; expected question and answer (GSM8K), "
            "problem and solution (MATH), or say which with fields = { question = …, answer = … }"
        )
    return columns


def _check_there(record: Mapping[str, Any], column: str, *, needed: bool) -> None:
    for part in [column] if has(record, column) else column.split(PLUS):
        if needed and not has(record, part):
            raise ValueError(
                f"no field '{part}'{nearest(part, map(str, record))}; "
                f"found {', '.join(map(str, record)) or 'none'}"
            )


def to_problem(
    record: Mapping[str, Any], *, index: int, fields: Mapping[str, str] | None = None
) -> Problem:
    """Turn one record into a Problem; raises ValueError saying what it lacks."""
    columns = recognise(record, fields)
    values = {role: lookup(record, path) for role, path in columns.items()}
    question, messages = _question(values["question"])
    if messages is None and (chat := _chat(values.get("messages"))) is not None:
        messages = chat
    solution, gold = _solution(values.get("solution")), values["answer"]
    usual = "svamp" if PLUS in columns["question"] else None
    if isinstance(gold, str) and "####" in gold:
        solution, gold, usual = solution or gold, gold.rsplit("####", 1)[1], "gsm8k"
    elif (gold is None or gold == "") and solution:
        gold = boxed_answer(solution)
        if gold is None:
            raise ValueError("the gold answer is missing, and the solution has no \\boxed{…}")
    if usual is None and {"problem", "solution"} <= record.keys():
        usual = "math"
    problem = Problem(
        id=_name(values.get("id"), index),
        question=question,
        answer=read_gold(gold),
        solution=solution,
        source=_text(values.get("source")) or usual,
        level=_text(values.get("level")),
        messages=messages,
    )
    _check_characters(problem)
    return problem


def lookup(record: Any, path: str) -> Any:
    """The value at a dotted path, or None; `A + B` are the texts of both."""
    if PLUS in path and not has(record, path):
        parts = [str(lookup(record, part) or "").strip() for part in path.split(PLUS)]
        return " ".join(part for part in parts if part)
    if isinstance(record, Mapping) and path in record:
        return record[path]
    head, dot, rest = path.partition(".")
    inner = record.get(head) if isinstance(record, Mapping) else None
    return lookup(inner, rest) if dot and inner is not None else None


def has(record: Any, path: str) -> bool:
    """Whether there is such a path in a record, be its value null."""
    if not isinstance(record, Mapping):
        return False
    head, dot, rest = path.partition(".")
    return path in record or (bool(dot) and has(record.get(head), rest))


def _question(value: Any) -> tuple[str, tuple[dict[str, Any], ...] | None]:
    if isinstance(value, list | tuple):
        messages = _chat(value)
        if messages is None:
            raise ValueError(
                "the prompt is a list, but not of messages with role and content that end with "
                "the user's turn"
            )
        return str(messages[-1]["content"]).strip(), messages
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the question is empty or no text")
    return value.strip(), None


def _chat(value: Any) -> tuple[dict[str, Any], ...] | None:
    """Messages that await an answer, as a prompt does; None for anything else."""
    if not isinstance(value, list | tuple) or not value:
        return None
    messages = [dict(m) for m in value if isinstance(m, Mapping)]
    whole = len(messages) == len(value) and all(
        isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in messages
    )
    asks = whole and messages[-1]["role"] == "user" and messages[-1]["content"].strip()
    return tuple({k: v for k, v in m.items() if v is not None} for m in messages) if asks else None


def _solution(value: Any) -> str | None:
    if isinstance(value, list | tuple):  # OlympiadBench: a list of one
        value = "\n\n".join(str(part) for part in value if part is not None)
    text = _text(value)
    return text if text and text.strip() else None


def _name(value: Any, index: int) -> str:
    """The id, or the row's number where there is none."""
    missing = value is None or value != value or str(value).strip() == ""  # NaN is not itself
    return str(index) if missing else _text(value) or str(index)


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        if value != value:
            return None
        value = int(value) if value.is_integer() else value
    return None if value is None else str(value)


_SURROGATE = re.compile("[\ud800-\udfff]")


def _check_characters(problem: Problem) -> None:
    texts: Iterable[tuple[str, str | None]] = (
        *((role, getattr(problem, role)) for role in ("id", "question", "answer", "solution")),
        *(("prompt", str(message.get("content"))) for message in problem.messages or ()),
    )
    for role, text in texts:
        if text and (found := _SURROGATE.search(text)):
            raise ValueError(
                f"the {role} holds half a character (U+{ord(found.group()):04X}, a lone "
                "surrogate), which is no text"
            )
