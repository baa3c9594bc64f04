"""README and docs as data: their commands, their settings, their links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.console import COMMANDS
from tests.fork_server import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MODULES = {command.module for command in COMMANDS.values()}
PROGRAM = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(?:(?P<console>mathgrpo)|python -m) (?P<rest>.+)$")


class Documented(NamedTuple):
    """A command as a page shows it: the module it runs, and its words."""

    page: str
    module: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.module} {shlex.join(self.words)}"


def blocks(page: Path, language: str = "") -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


def commands() -> list[Documented]:
    """Every command of ours that some page shows, in blocks and in running text."""
    return [found for page in PAGES for line in _lines(page) for found in _parse(page, line)]


def settings(page: Path) -> set[str]:
    """What is written like `section.key` in running text, be it with a value."""
    return {
        text.partition(" ")[0]
        for text in re.findall(r"`([a-z_]+\.[a-z_.]+(?: = [^`]*)?)`", page.read_text())
    }


def links(page: Path) -> set[str]:
    """The files that a page links to or shows."""
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    return {link for link in found if "://" not in link}


def paths(page: Path) -> set[str]:
    """Files of the repository that running text names, such as `train/run.py`."""
    return set(re.findall(r"`([a-z_]+/[\w./-]+\.(?:py|toml|md))`", page.read_text()))


def _lines(page: Path) -> Iterator[str]:
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            yield _without_comment(line.strip())
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text))


def _without_comment(line: str) -> str:
    return re.split(r"\s+# ", line)[0]


def _parse(page: Path, line: str) -> Iterator[Documented]:
    if not (match := PROGRAM.match(line)):
        return
    try:
        words = shlex.split(re.sub(r"…", "", match["rest"]))
    except ValueError:
        words = match["rest"].split()
    name, *rest = words
    if match["console"]:
        if name not in COMMANDS:
            assert not re.fullmatch(r"[a-z]+", name), f"{page.name}: no command '{name}'"
            return
        command = COMMANDS[name]
        rest = [*filter(None, [command.word]), *rest]
        name = command.module
    if name in MODULES:
        yield Documented(page.name, name, tuple(rest))
