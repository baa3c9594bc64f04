"""Problem sets from files, folders, the hub or the generator, each row read or refused in words."""

import collections
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError, nearest
from data.golds import is_sentinel
from data.problem import Problem, with_unique_ids
from data.rows import Rows, is_file_name, read_rows
from data.shapes import check_fields, has, lookup, to_problem
from data.synth import synthesize
from data.tasks import is_task, load_task

# Short names for well-known hub sets: name -> (hub name, configuration, split).
HUB_SETS = {
    "gsm8k": ("openai/gsm8k", "main", "test"),
    "math500": ("HuggingFaceH4/MATH-500", None, "test"),
    "svamp": ("ChilleD/SVAMP", None, "test"),
}

Fields = Mapping[str, str]
LeaveOut = Mapping[str, Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Source:
    """A set of problems as a configuration names it; the arguments are those of `load_problems`.

    `weight` is its share in a mixture, beside the weights of the others.
    """

    source: str
    weight: float = 1.0
    fields: Fields | None = None
    limit: int | None = None
    leave_out: LeaveOut | None = None

    def load(self) -> list[Problem]:
        """The problems; raises UserError as `load_problems` does."""
        return load_problems(
            self.source, limit=self.limit, fields=self.fields, leave_out=self.leave_out
        )


def load_problems(
    source: str | Path,
    *,
    limit: int | None = None,
    fields: Fields | None = None,
    leave_out: LeaveOut | None = None,
) -> list[Problem]:
    """Load a problem set; ids are unique in it.

    `source` is a file (JSON lines, a JSON array, CSV, Parquet), a folder of such files, a hub set
    written `NAME[:CONFIG][@SPLIT]` such as `openai/gsm8k:main@train` or just `gsm8k`, or synthetic
    problems made on the spot, `synth:SPLIT[,n=…][,seed=…][,levels=1-2][,slip_rate=…]`, or a task
    with its own verifier, `reasoning_gym:TASK[,n=…][,KEY=VALUE…]` (`data.tasks`). A short name of a
    hub set wins over a folder of that name; write `./gsm8k` for the folder.

    `fields` maps question, answer, solution, id, source, level and messages to columns, dotted
    where nested; what it does not name is recognised (`data.shapes`). `leave_out` maps columns to
    values: rows with such a value are left out. Raises UserError naming the file, and the row
    where one is malformed or lacks a gold.
    """
    if limit is not None and limit < 1:
        raise UserError(f"{source}: the limit must be at least 1, not {limit}")
    check_fields(fields)
    unwanted = _values_of(leave_out)
    if is_made(source):
        if fields or leave_out:
            raise UserError(f"{source}: problems made on the spot take no fields and no leave_out")
        made = load_task if is_task(str(source)) else _synthetic
        return made(str(source))[:limit]
    seen: set[str] = set()  # the named columns that some row has
    problems: list[Problem] = []
    for index, (where, record) in enumerate(open_rows(source)):
        seen |= {c for c in [*unwanted, *(fields or {}).values()] if has(record, c)}
        if any(_as_text(lookup(record, c)) in values for c, values in unwanted.items()):
            continue
        try:
            problems.append(to_problem(record, index=index, fields=fields))
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        if len(problems) == limit:
            break
    _check_columns(source, seen, unwanted, fields or {})
    if not problems:
        raise UserError(f"{source}: the data set is empty{' once rows are left out' * bool(seen)}")
    if warning := sentinel_warning(source, problems):
        print(warning, file=sys.stderr)
    return with_unique_ids(problems)


def open_rows(source: str | Path) -> Rows:
    """The raw records of a file, folder or hub set, each with its place in words."""
    text = str(source)
    if text.partition("@")[0].partition(":")[0] in HUB_SETS and not Path(text).is_file():
        return _read_hub(text)
    path = Path(source).expanduser()
    if path.exists():
        return read_rows(path)
    name, _, split = text.rpartition("@")
    if name and Path(name).expanduser().is_dir():
        return read_rows(Path(name).expanduser(), split)
    if is_file_name(text.partition("@")[0].partition(":")[0]):
        return read_rows(path)
    return _read_hub(text)


def is_made(source: str | Path) -> bool:
    """Whether the problems of a source are made on the spot, and it has no rows to read."""
    return str(source).startswith("synth:") or is_task(str(source))


def set_name(source: str | Path) -> str:
    """A short name for a problem set, fit for a folder: `synth:heldout,n=500` is synth-heldout."""
    name = str(source).partition(",")[0]
    if not is_made(name) and (Path(name).exists() or is_file_name(name)):
        name = re.sub(r"(\.(jsonl|json|csv|parquet|gz))+$", "", Path(name).name)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "data"


def sentinel_warning(source: str | Path, problems: Sequence[Problem]) -> str | None:
    """What to say of golds such as "proof", which are no answers; None where there are none."""
    found = collections.Counter(p.answer for p in problems if is_sentinel(p.answer))
    if not found:
        return None
    return (
        f"warning: {source}: {found.total()} of {len(problems)} golds say that there is no answer "
        f"({', '.join(map(repr, list(found)[:5]))}); leave such rows out by a field's value: "
        f"leave_out = {{ answer = {json.dumps(list(found)[:5])} }}"
    )


def _values_of(leave_out: LeaveOut | None) -> dict[str, set[str]]:
    values = {}
    for column, listed in (leave_out or {}).items():
        if isinstance(listed, str) or not isinstance(listed, Sequence) or not listed:
            raise UserError(f"leave_out.{column} must be a list of values, not {listed!r}")
        values[column] = {_as_text(value) for value in listed}
    return values


def _as_text(value: Any) -> str:
    """A value as one writes it in JSON; texts without their quotes, a missing one as null."""
    return value.strip() if isinstance(value, str) else json.dumps(value, default=str)


def _check_columns(
    source: str | Path, seen: set[str], unwanted: Mapping[str, Any], fields: Fields
) -> None:
    """Raises UserError for a column that no row has: a slip of the pen, not a wish."""
    for name, columns in (("leave_out", list(unwanted)), ("fields", list(fields.values()))):
        for column in columns:
            if column not in seen and " + " not in column:
                raise UserError(f"{source}: {name} names '{column}', which no row has")


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


def _read_hub(source: str) -> Rows:
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
