"""What an evaluation has finished so far, so that a killed one goes on where it was."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """A file of finished rows, headed by what was asked; kept only until the result is saved."""

    def __init__(self, result: str | Path, asked: dict[str, Any]):
        """`result`: the folder to be; `asked`: all that decides the rows, in JSON's types."""
        folder = Path(result)
        self.path = folder.parent / f".{folder.name}.journal.jsonl"
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        self._header = json.dumps({"asked": key})
        kept = self._read()
        self.rows = [row for line in kept for row in json.loads(line)]
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._write("\n".join([self._header, *kept]), "w")  # without a line that was cut off

    def _read(self) -> list[str]:
        """The whole lines of an earlier, identical evaluation."""
        try:
            header, *lines = self.path.read_text(encoding="utf-8").split("\n")
        except OSError:
            return []
        return lines[:-1] if header == self._header else []

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of some more problems."""
        self._write(json.dumps(rows), "a")

    def _write(self, text: str, mode: str) -> None:
        with open(self.path, mode, encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """The result is saved: the journal is not needed any more."""
        self.path.unlink(missing_ok=True)
