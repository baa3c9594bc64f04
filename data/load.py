"""Problem sets from files or the hub, their shape recognised by the fields of each record.

| shape | fields |
|---|---|
| ours | `question`, `answer`, optional `id`, `solution`, `source`, `level` |
| GSM8K | `question`, `answer` (a worked solution ending `#### N`) |
| MATH | `problem`, `solution`, `answer` (or the last `\\boxed{…}` of the solution) |
| SVAMP | `Body`, `Question`, `Answer` |
"""

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import UserError, nearest
from data.problem import Problem
from data.synth import synthesize

# Short names for well-known hub sets: name -> (hub name, configuration, split).
HUB_SETS = {
    "gsm8k": ("openai/gsm8k", "main", "test"),
    "math500": ("HuggingFaceH4/MATH-500", None, "test"),
    "svamp": ("ChilleD/SVAMP", None, "test"),
}


def load_problems(source: str | Path, *, limit: int | None = None) -> list[Problem]:
    """Load a problem set.

    `source` is a file (`.jsonl`, `.jsonl.gz`, `.parquet`), a hub set written
    `NAME[:CONFIG][@SPLIT]` such as `openai/gsm8k:main@train` or just `gsm8k`, or synthetic
    problems made on the spot, `synth:SPLIT[,n=…][,seed=…][,levels=1-2][,slip_rate=…]`.
    Raises UserError naming the file, and the line where one is malformed or lacks a gold.
    """
    if str(source).startswith("synth:"):
        return _synthetic(str(source))[:limit]
    path = Path(source)
    records = read_rows(path) if path.exists() or path.suffix else _read_hub(str(source))
    problems: list[Problem] = []
    for where, record in records:
        if limit is not None and len(problems) >= limit:
            break
        try:
            problems.append(to_problem(record, index=len(problems)))
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
    if not problems:
        raise UserError(f"{source}: the data set is empty")
    return problems


def set_name(source: str | Path) -> str:
    """A short name for a problem set, fit for a folder: `synth:heldout,n=500` is synth-heldout."""
    name = str(source).partition(",")[0]
    if not name.startswith("synth:") and Path(name).suffix:
        name = Path(name).name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "data"


def to_problem(record: Mapping[str, Any], *, index: int) -> Problem:
    """Turn one record of any known shape into a Problem; raises ValueError saying what lacks."""
    shape = _shape(record)
    if shape == "svamp":
        body = str(record["Body"]).strip()
        question = " ".join(part for part in (body, str(record["Question"]).strip()) if part)
        return Problem(
            id=str(record.get("ID", index)),
            question=question,
            answer=_gold(record["Answer"]),
            source="svamp",
            level=_text(record.get("Type")),
        )
    if shape == "math":
        worked = str(record["solution"])
        answer = record.get("answer")
        return Problem(
            id=str(record.get("unique_id", index)),
            question=_question(record["problem"]),
            answer=_gold(answer if answer is not None else last_boxed(worked)),
            solution=worked,
            source="math",
            level=_text(record.get("level")),
        )
    gold: Any = record["answer"]
    solution = _text(record.get("solution"))
    gsm8k = solution is None and isinstance(gold, str) and "####" in gold
    if gsm8k:
        solution, gold = gold, gold.rsplit("####", 1)[1]
    return Problem(
        id=str(record.get("id", index)),
        question=_question(record["question"]),
        answer=_gold(gold),
        solution=solution,
        source=_text(record.get("source")) or ("gsm8k" if gsm8k else None),
        level=_text(record.get("level")),
    )


def last_boxed(text: str) -> str | None:
    """The content of the last `\\boxed{…}` in `text`, braces balanced, or None."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for i in range(begin - 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[begin:i]
    return None


def _synthetic(source: str) -> list[Problem]:
    split, *options = source.removeprefix("synth:").split(",")
    settings: dict[str, Any] = {"n": 1000, "seed": 0}
    readers: dict[str, Callable[[str], Any]] = {
        "n": int,
        "seed": int,
        "slip_rate": float,
        "levels": lambda text: tuple(int(level) for level in text.split("-")),
    }
    try:
        for option in options:
            name, _, value = option.partition("=")
            if name not in readers:
                raise ValueError(f"unknown option '{name}'{nearest(name, readers)}")
            settings[name] = readers[name](value)
        if settings["n"] < 1:
            raise ValueError("n must be at least 1")
        return synthesize(settings.pop("n"), split=split, **settings)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from error


def _shape(record: Mapping[str, Any]) -> str:
    if {"Body", "Question", "Answer"} <= record.keys():
        return "svamp"
    if {"problem", "solution"} <= record.keys():
        return "math"
    if {"question", "answer"} <= record.keys():
        return "ours"
    raise ValueError(
        "no known shape: expected the fields question and answer (GSM8K), problem and solution "
        f"(MATH), or Body, Question and Answer (SVAMP); found {', '.join(record) or 'none'}"
    )


def _question(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the question is empty or no text")
    return value.strip()


def _gold(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip()
    if not text:
        raise ValueError("the gold answer is missing")
    return text


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def read_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The records of a JSONL or Parquet file, each with its place in words.

    Raises UserError where it cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            yield from _read_lines(path)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _read_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except ValueError as error:
                raise UserError(f"{where}: not valid JSON: {error}") from error
            if not isinstance(record, dict):
                raise UserError(f"{where}: expected a JSON object")
            yield where, record


def _read_parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not a readable Parquet file: {error}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", row


def _read_hub(source: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import datasets

    name, _, split = source.partition("@")
    name, _, config = name.partition(":")
    hub_name, known_config, known_split = HUB_SETS.get(name, (name, None, "train"))
    try:
        rows = datasets.load_dataset(hub_name, config or known_config, split=split or known_split)
    except Exception as error:  # datasets raises many kinds: no network, no such set, no such split
        raise UserError(
            f"{source}: neither a file here nor a data set the hub gives us "
            f"({type(error).__name__}: {str(error)[:200]})"
        ) from error
    for number, row in enumerate(rows, start=1):
        yield f"{source}, row {number}", row
