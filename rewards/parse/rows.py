"""Environments with rows: matrices, and lists of statements such as `cases`."""

import abc

from rewards.parse import tree as t
from rewards.parse.cursor import Cursor
from rewards.parse.names import MATRICES, ROWS
from rewards.parse.spelling import ROW
from rewards.parse.tokens import Unreadable

PIECE = "{}"  # the brackets of a value with its condition


class Rows(Cursor, abc.ABC):
    """Reads what stands between `\\begin` and `\\end`; its cells are read by a subclass."""

    @abc.abstractmethod
    def statement(self) -> t.Tree: ...

    @abc.abstractmethod
    def sum(self) -> t.Tree: ...

    def environment(self) -> t.Tree:
        kind = begun = self.take().text
        if kind not in MATRICES and kind not in ROWS:
            raise Unreadable(f"unexpected {kind!r}")
        self.deeper()
        if kind == "array" and self.text() == "{":
            while self.take().text != "}":
                pass
        texts = [token.text for token in self.tokens[self.at :]]
        if kind == "array" and "=" in texts[: texts.index("\\end")]:
            kind = "aligned"
        rows: list[tuple[t.Tree, ...]] = []
        while self.text() == ROW:
            self.take()
        while self.text() != "\\end":
            rows.append(tuple(self._row(kind)))
            while self.text() in (ROW, ",") and self.text():
                self.take()
        self.take("\\end")
        self.take(begun)
        self.depth -= 1
        if kind in MATRICES:
            matrix = t.Matrix(tuple(rows))
            return t.Call("det", (matrix,)) if kind == "vmatrix" else matrix
        items = [item for row in rows for item in row]
        if any(isinstance(item, t.Tuple) and item.brackets == PIECE for item in items):
            return t.Set(tuple(items))
        return items[0] if len(items) == 1 else t.List(tuple(items))

    def _row(self, kind: str) -> list[t.Tree]:
        if kind in MATRICES:
            row = [self.sum()]
            while self.text() == "&":
                self.take()
                row.append(self.sum())
            return row
        end = self.at
        while end < len(self.tokens) and self.tokens[end].text not in (ROW, "\\end"):
            end += 1
        row_tokens = self.tokens[self.at : end]
        texts = [token.text for token in row_tokens]
        if kind == "cases" and "&" in texts and "&=" not in "".join(texts):
            return [self._piece(end)]
        self.tokens[self.at : end] = [token for token in row_tokens if token.text != "&"]
        return [self.statement()]

    def _piece(self, end: int) -> t.Tree:
        """`x^2, & \\text{if } x > 1` up to `end`: a value, and the words or relation of a case."""
        value = self.sum()
        while self.text() in (",", "&") or self.token().text in ("if", "for", "when"):
            self.take()
        if self.tokens[end - 1].text == ",":
            del self.tokens[end - 1 : end]
            end -= 1
        tail = self.tokens[self.at : end]
        if not any(token.kind == "word" for token in tail):
            return t.Tuple((value, self.statement()), PIECE)
        self.at = end
        words = [token.text for token in tail if token.text not in (",", "is")]
        return t.Tuple((value, t.Word(" ".join(words))), PIECE)
