"""Files appear whole or not at all: written under a temporary name, fsynced, renamed."""

import contextlib
import dataclasses
import fnmatch
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> Path:
    """Create `folder` and its parents; raises UserError where that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create the folder {folder}: {error.strerror or error}") from error
    return folder


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    Raises UserError when the folder cannot be written or the disk is full; `path` is then
    what it was before.
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise UserError(f"cannot write in {path.parent}: {error.strerror or error}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Contents:
    """What a command writes in a folder of its own: by this, its earlier work is recognised.

    `marks` are the files that are always there, `others` patterns of those that may be.
    """

    command: str
    marks: tuple[str, ...]
    others: tuple[str, ...] = ()


def check_replaceable(path: str | Path, contents: Contents) -> None:
    """Raises UserError unless `path` is free, empty, or holds what the same command wrote alone.

    To be asked before anything heavy starts; `whole_folder` asks again before it replaces.
    """
    path = Path(path)
    if not path.is_dir():
        if path.exists() or path.is_symlink():
            raise UserError(f"{path} is a file; {contents.command} writes a folder")
        return
    names = sorted(os.listdir(path))
    known = (*contents.marks, *contents.others)
    foreign = [
        name
        for name in names
        if (path / name).is_dir() or not any(fnmatch.fnmatchcase(name, k) for k in known)
    ]
    lacking = [mark for mark in contents.marks if mark not in names]
    if not names or not (foreign or lacking):
        return
    listed = ", ".join((foreign or names)[:3]) + (", …" if len(foreign or names) > 3 else "")
    raise UserError(
        f"{path} holds {listed}, which {contents.command} did not write, and is not replaced; "
        "choose another folder, or remove it yourself"
    )


@contextlib.contextmanager
def whole_folder(path: str | Path, contents: Contents) -> Iterator[Path]:
    """Yield a temporary folder; on success its files are fsynced and it is renamed to `path`.

    An existing folder at `path` is replaced only if it is empty or holds nothing but `contents`.
    Raises UserError as `check_replaceable` and `whole_file` do; `path` is then what it was before.
    """
    check_replaceable(path, contents)
    path = Path(path)
    make_folder(path.parent)
    try:
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    except OSError as error:
        raise UserError(f"cannot write in {path.parent}: {error.strerror or error}") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        for file in [entry for entry in temporary.rglob("*") if entry.is_file()]:
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())
        check_replaceable(path, contents)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
            os.replace(path, old / path.name)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
