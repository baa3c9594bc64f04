"""Environments with rows: matrices, and lists of statements such as `cases`."""

import abc

from rewards.parse import tree as t
from rewards.parse.cursor import Cursor
from rewards.parse.names import MATRICES, ROWS
from rewards.parse.spelling import ROW
from rewards.parse.tokens import Unreadable


class Rows(Cursor, abc.ABC):
    """Reads what stands between `\\begin` and `\\end`; its cells are read by a subclass."""

    @abc.abstractmethod
    def statement(self) -> t.Tree: ...

    @abc.abstractmethod
    def sum(self) -> t.Tree: ...

    def environment(self) -> t.Tree:
        kind = self.take().text
        if kind not in MATRICES and kind not in ROWS:
            raise Unreadable(f"unexpected {kind!r}")
        self.deeper()
        if kind == "array" and self.text() == "{":
            while self.take().text != "}":
                pass
        rows: list[tuple[t.Tree, ...]] = []
        while self.text() == ROW:
            self.take()
        while self.text() != "\\end":
            rows.append(tuple(self._row(is_matrix=kind in MATRICES)))
            while self.text() in (ROW, ",") and self.text():
                self.take()
        self.take("\\end")
        self.take(kind)
        self.depth -= 1
        if kind in MATRICES:
            matrix = t.Matrix(tuple(rows))
            return t.Call("det", (matrix,)) if kind == "vmatrix" else matrix
        items = [item for row in rows for item in row]
        return items[0] if len(items) == 1 else t.List(tuple(items))

    def _row(self, *, is_matrix: bool) -> list[t.Tree]:
        if is_matrix:
            row = [self.sum()]
            while self.text() == "&":
                self.take()
                row.append(self.sum())
            return row
        aligned = self.at
        while self.token(aligned - self.at).kind != "end" and self.text(aligned - self.at) not in (
            ROW, "\\end",
        ):  # fmt: skip
            if self.text(aligned - self.at) == "&":
                del self.tokens[aligned]
            else:
                aligned += 1
        return [self.statement()]
