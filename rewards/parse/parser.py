"""Statements: values with units, assignments, chains of relations, sets and lists of them.

Recursive descent, linear in time, bounded in size and depth. The parser is our own because the
readers of sympy and latex2sympy compute while they read: `9^{9^{9^9}}` would be computed before
any guard could see it.
"""

from rewards.parse import tree as t
from rewards.parse.expressions import SIGNS
from rewards.parse.modifiers import change_value_before
from rewards.parse.names import FIGURES, GREEK
from rewards.parse.operands import Operands
from rewards.parse.tokens import Token, Unreadable, tokenize

RELATIONS = {"=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\equiv": "="}
APPROXIMATE = ("\\approx", "\\simeq", "\\sim", "\\doteq", "\\cong")
ARROWS = ("\\to", "\\therefore")
_EQUALS = ("=", "\\equiv", *APPROXIMATE)
_OPEN, _CLOSE = ("(", "[", "{", "\\{", "\\begin"), (")", "]", "}", "\\}", "\\end")


def parse(normal: str, *, thousands: bool = True) -> t.Tree:
    """Read a normalised text; raises Unreadable if it is too long, too deep, or no formula."""
    parser = _Parser(tokenize(normal, thousands=thousands))
    tree = parser.statement(whole=True)
    if parser.token().kind != "end":
        raise Unreadable(f"unexpected {parser.token().text!r}")
    return tree


class _Parser(Operands):
    """Statement, item; below them operands."""

    def statement(self, *, whole: bool = False) -> t.Tree:
        """One item, or several parted by commas, semicolons, "and" or "or"."""
        if whole:
            self._skip_to_conclusion()
        groups: list[list[t.Tree]] = [[self.item()]]
        separators = set()
        while separator := self.separator() or self._union_of_conditions(groups[-1][-1]):
            self.take()
            separators.add(separator)
            while self.separator() in (",", "and", "or"):
                separators.add(self.take().text.casefold())
            if separator == ";":
                groups.append([])
            groups[-1].append(self.item())
        if len(groups) > 1 and any(len(group) > 1 for group in groups):
            return t.List(tuple(t.List(tuple(group)) for group in groups), ";")
        items = [item for group in groups for item in group]
        if len(items) == 1:
            return items[0]
        separator = next((word for word in ("or", "and") if word in separators), ",")
        return t.List(tuple(items), separator)

    def _union_of_conditions(self, last: t.Tree) -> str | None:
        """Whether ∪ stands for "or", as in x < 2 ∪ x > 5."""
        return "or" if self.text() == "\\cup" and isinstance(last, t.Relation) else None

    def _skip_to_conclusion(self) -> None:
        """Go behind the last arrow of a deduction; an arrow between two names is no deduction."""
        arrow = self._last_of(ARROWS)
        before = self.tokens[self.at : max(arrow, self.at)]
        if before and not any(token.text in RELATIONS for token in before):
            raise Unreadable("an arrow that concludes nothing")
        self.at = arrow + 1

    def item(self) -> t.Tree:
        """A value, an assignment, a chain of relations, or `x ∈ set`.

        Where the left side of an equation cannot be read, the right side is what is given.
        """
        start, depth = self.at, self.depth
        state = (self.in_absolute, self.in_builder)
        try:
            return self._item()
        except Unreadable:
            self.at, self.depth = start, depth
            self.in_absolute, self.in_builder = state
            equals = self._last_of(("=", *APPROXIMATE), to_separator=True)
            if equals <= start or self._refuses(self.tokens[start:equals]):
                raise
            self.at = equals + 1
            return t.Assignment("", self.operand())

    def _refuses(self, tokens: list[Token]) -> bool:
        """Whether a left side that cannot be read says that the right side is not the value."""
        texts = [token.text for token in tokens]
        related = any(text in RELATIONS and text not in ("=", "\\equiv") for text in texts)
        return related or "\\notin" in texts or change_value_before(" ".join(texts))

    def _last_of(self, texts: tuple[str, ...], *, to_separator: bool = False) -> int:
        """Where the last of `texts` outside of brackets is, before `self.at` if there is none."""
        depth, found = 0, self.at - 1
        for at in range(self.at, len(self.tokens)):
            token = self.tokens[at]
            depth += (token.text in _OPEN) - (token.text in _CLOSE)
            if depth < 0:
                break
            if depth or token.kind in ("word", "unit"):
                if not depth and to_separator and token.text.casefold() in ("and", "or"):
                    break
                continue
            if to_separator and token.text in (",", ";"):
                break
            if token.text in texts:
                found = at
        return found

    def _item(self) -> t.Tree:
        while self.text() == "\\approx" or (self.text() in ("=", "\\therefore") and self.at == 0):
            self.take()
        if (name := self._name_before_equals()) is not None:
            return t.Assignment(name, self._sides())
        operands, signs = [self.operand()], []
        if self.text() == "\\in" and isinstance(operands[0], t.Name):
            self.take()
            return t.Member(operands[0].name, self.operand())
        while self.text() in RELATIONS or self.text() in APPROXIMATE:
            text = self.take().text
            operand = self.operand()
            if text in APPROXIMATE:
                operands[-1] = t.Approximation(operands[-1], operand)
                continue
            signs.append(RELATIONS[text])
            operands.append(operand)
        if not signs:
            return operands[0]
        last = operands[-1]
        if signs == ["="] and _is_variable(last) and not isinstance(operands[0], t.Name):
            return t.Assignment(last.name, operands[0])  # type: ignore[attr-defined]
        return t.Relation(tuple(operands), tuple(signs))

    def _sides(self) -> t.Tree:
        """What a name equals: one side, or a chain of them."""
        sides = [self.operand()]
        while self.text() in ("=", "\\equiv") or self.text() in APPROXIMATE:
            if self.take().text in ("=", "\\equiv"):
                sides.append(self.operand())
            else:
                sides[-1] = t.Approximation(sides[-1], self.operand())
        return t.Relation(tuple(sides), ("=",) * (len(sides) - 1)) if len(sides) > 1 else sides[0]

    def _name_before_equals(self) -> str | None:
        """The name that the tokens up to the next `=` are, and move behind it; else None."""
        depth, end = 0, self.at
        while end < len(self.tokens) and (depth or self.tokens[end].text not in _EQUALS):
            token = self.tokens[end]
            depth += (token.text in _OPEN) - (token.text in _CLOSE)
            separates = token.text.casefold() in (",", ";", "and", "or")
            if depth < 0 or (not depth and separates):
                return None
            end += 1
        left = self.tokens[self.at : end]
        if end >= len(self.tokens) or not left or not _is_name(left):
            return None
        self.at = end + 1
        return self._name_before_equals() or "".join(x.text for x in left if x.text not in "{}")


def _is_variable(tree: t.Tree) -> bool:
    return isinstance(tree, t.Name) and tree.name not in t.CONSTANTS


def _is_name(tokens: list[Token]) -> bool:
    """Whether tokens name something: x, x_1, f(x), AB, "Area", \\angle ABC, |AB|."""
    first = tokens[0]
    if first.text == "{" and len(tokens) > 2 and tokens[2].text == "}":
        return _is_name([tokens[1], *tokens[3:]])
    if first.kind == "word":
        words = [token.text for token in tokens if token.kind == "word"]
        return all(token.kind != "number" for token in tokens) and not change_value_before(
            " ".join(words)
        )
    if first.text[1:] in FIGURES or first.text in ("\\overline", "\\widehat", "\\bar", "\\hat"):
        return all(token.text not in SIGNS and token.kind != "number" for token in tokens)
    if first.text == "|" and len(tokens) > 2 and tokens[-1].text == "|":
        return all(token.kind == "letter" and token.text.isupper() for token in tokens[1:-1])
    if first.kind != "letter" and (first.text[1:] not in GREEK or first.text == "\\pi"):
        return False
    rest = [token.text for token in tokens[1:]]
    while rest and rest[0] in ("'", "_"):
        if rest[0] == "'":
            rest = rest[1:]
        elif rest[1:2] == ["{"] and "}" in rest:
            rest = rest[rest.index("}") + 1 :]
        else:
            rest = rest[2:]
    if rest[:5] == ["^", "{", "-", "1", "}"]:
        rest = rest[5:]
    if not rest:
        return True
    if rest[0] == "(" and rest[-1] == ")":
        return first.text not in ("x", "y", "z")
    return first.text.isupper() and all(text.isalpha() and text.isupper() for text in rest)
