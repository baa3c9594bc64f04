"""One exception for mistakes a user can mend, and the wrapper that prints it as one line."""

import argparse
import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota or a file size used up


class UserError(Exception):
    """Something the user can mend: its message says what is wrong and what to do next."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the known word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of its message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    counted = "validation error" in lines[0] and len(lines) > 1  # pydantic: how many, of what
    return f"{type(error).__name__}: {lines[counted][:200]}"


def out_of_memory(error: BaseException) -> bool:
    """Whether the machine or its accelerator had no memory left (torch has kinds of its own)."""
    said = type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error)
    return said or isinstance(error, MemoryError)


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line with exit code 2, like all our errors.

    Rooms name themselves `python -m ROOM`; called as `mathgrpo COMMAND`, they say that instead.
    """

    def __init__(self, *, prog: str, **options: Any):
        called, own = sys.argv[0], prog.split()
        if called.split()[:1] == ["mathgrpo"] and own[:2] == ["python", "-m"]:
            prog = " ".join([called, *own[3:]])
        super().__init__(prog=prog, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")

    def required(self, value: str | None, name: str) -> str:
        """An argument that only `--help` does without; complains where it is missing."""
        if value is None:
            self.error(f"the following argument is required: {name}")
        return value


def run_command(main: Callable[[list[str]], None]) -> None:
    """Run a command's `main(argv)`: a UserError becomes one line on stderr and exit code 2."""
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except UserError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(f"error: out of memory ({first_line(error)})", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: the disk is full{where}; what was written before is whole", file=sys.stderr)
        sys.exit(2)
