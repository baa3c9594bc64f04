"""The records of a file or folder: JSON lines, JSON arrays, CSV, Parquet, and what is gzipped."""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import UserError

READ = (".jsonl", ".json", ".csv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz")
OTHERS = (".txt", ".tsv", ".arrow", ".xlsx", ".zip", ".tar", ".pkl", ".toml", ".yaml", ".yml")

Rows = Iterator[tuple[str, Mapping[str, Any]]]  # each with its place in words


def is_file_name(source: str) -> bool:
    """Whether a source that is not here can only be meant as a file or folder.

    A hub set is NAME or OWNER/NAME, dots allowed: `AI-MO/NuminaMath-1.5` is one.
    """
    path = Path(source)
    if source.startswith((".", "/", "~")) or source.endswith("/") or source.count("/") > 1:
        return True
    return source.endswith((*READ, *OTHERS, ".gz")) or ("/" not in source and bool(path.suffix))


def read_rows(path: Path, split: str | None = None) -> Rows:
    """The records of a file, or of a folder's files of one `split`, each with its place in words.

    A byte-order mark at the beginning is passed over. Raises UserError where a file is missing,
    cannot be read, or is not what its name says.
    """
    if path.is_dir():
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            yield from _read_saved(path, split)
            return
        for file in _files_of(path, split):
            yield from read_rows(file)
        return
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            yield from _read_parquet(path)
        elif path.name.endswith((".csv", ".csv.gz")):
            yield from _read_csv(path)
        else:
            yield from _read_json(path)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _files_of(folder: Path, split: str | None) -> list[Path]:
    """The files of a folder that make one set: the only one, or the shards of one split."""
    found = [f for place in (folder, folder / "data") for f in sorted(place.glob("*"))]
    found = [f for f in found if f.is_file() and f.name.endswith(READ)]
    if split is not None:
        found = [f for f in found if _stem(f) == split]
    if not found:
        raise UserError(
            f"{folder}: no {'' if split is None else f'split {split} among the '}data files here "
            f"({', '.join(READ[:4])})"
        )
    if len(splits := sorted({_stem(f) for f in found})) > 1:
        raise UserError(
            f"{folder}: a folder of several sets ({', '.join(splits)[:200]}); name a file, "
            f"or one of them: {folder}@{splits[0]}"
        )
    if len(kinds := {f.suffix for f in found}) > 1:
        raise UserError(
            f"{folder}: {splits[0]} is there as {', '.join(sorted(kinds))}; name a file"
        )
    return found


def _stem(file: Path) -> str:
    """`train` for train.jsonl and for train-00000-of-00002.parquet."""
    name = file.name.partition(".")[0]
    begin, of, count = name.rpartition("-of-")
    return begin.rpartition("-")[0] if of and count.isdigit() and "-" in begin else name


def _read_saved(folder: Path, split: str | None) -> Rows:
    """What `datasets` saved by `save_to_disk`."""
    import datasets

    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:  # datasets raises many kinds
        raise UserError(f"{folder}: no data set can be read here: {error}") from error
    if isinstance(found, datasets.DatasetDict):
        if split is None and len(found) == 1:
            split = next(iter(found))
        if split not in found:
            raise UserError(f"{folder}: choose a split: {folder}@{' or @'.join(found)}")
        found = found[split]
    for number, row in enumerate(found, start=1):
        yield f"{folder}, row {number}", row


def _open(path: Path) -> io.TextIOBase:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig", newline="" if ".csv" in path.name else "\n")


def _read_json(path: Path) -> Rows:
    """JSON lines; or one array of objects, which may also be the only value of an object."""
    with _open(path) as file:
        first = next((line for line in file if line.strip()), "").lstrip()
    if first.startswith("[") or path.name.endswith((".json", ".json.gz")):
        with _open(path) as file:
            text = file.read()
        rows = _array(text, path)
        if rows is not None:
            for number, row in enumerate(rows, start=1):
                yield _object(row, f"{path}, record {number}")
            return
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where}: not valid JSON: {error}") from error
            yield _object(record, where)


def _array(text: str, path: Path) -> list[Any] | None:
    """The records of a whole JSON file; None where it is a file of JSON lines."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if (
            len([line for line in text.split("\n") if line.strip()]) > 1
            and text.lstrip()[:1] == "{"
        ):
            return None
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list)]
        one = len(lists) == 1 and all(isinstance(row, dict) for row in lists[0])
        return lists[0] if one and len(value) == 1 else [value]
    return value if isinstance(value, list) else [value]


def _object(record: Any, where: str) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(record, dict):
        raise UserError(f"{where}: expected a JSON object")
    return where, record


def _read_csv(path: Path) -> Rows:
    with _open(path) as file:
        table = csv.DictReader(file, strict=True)
        try:
            for number, row in enumerate(table, start=1):
                where = f"{path}, row {number}"
                if None in row or None in row.values():
                    raise UserError(f"{where}: not as many cells as the heading has")
                yield where, row
        except csv.Error as error:
            raise UserError(f"{path}, line {table.line_num}: not valid CSV: {error}") from error


def _read_parquet(path: Path) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: not a readable Parquet file: {error}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", row
