"""Values as they stand in a statement: with a unit, a multiplier, money, and the words around."""

from fractions import Fraction

from rewards.parse import tree as t
from rewards.parse.expressions import Expressions
from rewards.parse.modifiers import NEGATIVE, change_value_after, change_value_before, multiplier
from rewards.parse.tokens import Token, Unreadable
from rewards.parse.units import Unit

_SETS = {
    "\\cup": "union", "\\cap": "intersection", "\\setminus": "difference",
    "\\backslash": "difference",
}  # fmt: skip
_DENIALS = ("\\neg", "\\lnot", "\\sim")


class Operands(Expressions):
    """Operand, sets, ratio; below them sums."""

    def operand(self) -> t.Tree:
        """A value or set, with the words, the sign of money and the unit around it."""
        if self.text() in _DENIALS:
            return self._denied()
        outer, self.money = self.money, None
        value = self._operand()
        if self.money and not isinstance(value, t.Quantity | t.Word | t.List):
            value = t.Quantity(value, self.money)
        self.money = outer
        return value

    def _denied(self) -> t.Tree:
        """`\\neg p`; before a number `\\sim` says that it is approximate."""
        sign = self.take().text
        if sign == "\\sim" and self.at == 1 and self.token().kind == "number":
            return self.operand()
        self.deeper()
        inner = self._denied() if self.text() in _DENIALS else self.power()
        self.depth -= 1
        return t.Call("not", (inner,))

    def _operand(self) -> t.Tree:
        if not self.is_word():
            return self._with_unit(self._sets())
        at, words = self.at, []
        while self.is_word():
            words.append(self.take().text)
        if self.text() == ":" and self.token(1).kind != "end":
            self.take()
        following = self.token()
        glued = following.text == "(" and not following.spaced and self.text(-1) != ":"
        if following.kind in ("end", "word", "unit") or not self._starts_value(following):
            self.at = at
            return self._sets()
        if glued:
            raise Unreadable(f"{words[-1]}(…) is not known")
        negative = words[-1].casefold() in NEGATIVE
        if change_value_before(" ".join(words[:-1] if negative else words)):
            raise Unreadable(f"{' '.join(words)!r} changes the value")
        value = self._with_unit(self._sets())
        return t.Negative(value) if negative else value

    def _starts_value(self, token: Token) -> bool:
        return (
            token.kind in ("number", "money")
            or token.text in ("-", "+", ".", "\\{", "\\emptyset", "\\pm")
            or token.text.startswith("\\mathbb")
            or self.starts_factor(token)
        )

    def _with_unit(self, value: t.Tree) -> t.Tree:
        """The value with its unit or multiplier; other words go, unless they change it."""
        if isinstance(value, t.Word):
            return value
        words: list[str] = []
        while True:
            token = self.token()
            if token.kind in ("unit", "money") and token.unit:
                value = t.Quantity(value, token.unit) if not (words or self.money) else value
            elif words and self.text() == "^" and self.token(1).kind == "number":
                self.take()
            elif self.text() == "/" and self.token(1).kind in ("word", "unit"):
                self.take()
                words.append(self.token().text)
            elif not self.is_word():
                break
            elif (
                not words
                and (factor := multiplier(token.text))
                and not (self.money and token.text == "gross")
            ):
                value = times(factor, value)
                if len(token.text) > 1 and token.text[0] > "\u3000":
                    words.append(token.text[1:])
            else:
                words.append(token.text)
            self.take()
        if words and change_value_after(" ".join(words)):
            raise Unreadable(f"{' '.join(words)!r} changes the value")
        return self._with_smaller_units(value) if isinstance(value, t.Quantity) else value

    def _with_smaller_units(self, value: t.Quantity) -> t.Quantity:
        """`1 hour, 30 minutes and 10 seconds` as one quantity, in the unit of its last part."""
        largest = value.unit
        while True:
            ahead = 1 if self.separator() in (",", "and") else 0
            ahead += ahead and self.separator(1) == "and"
            number, unit = self.token(ahead), self.token(ahead + 1).unit
            if number.kind != "number" or not _is_smaller(unit, value.unit):
                break
            assert unit is not None
            if self.separator() == "," and Fraction(number.text) * unit.factor >= value.unit.factor:
                break  # 1.5 hours, 90 minutes
            self.at += ahead
            rest = self.atom()
            self.take()
            scaled = times(value.unit.factor / unit.factor, value.value)
            value = t.Quantity(t.Sum((scaled, rest)), unit, largest)
        if self.token().kind == "number":
            raise Unreadable("a number behind a unit")
        return value

    def skip_words_behind(self) -> None:
        self._with_unit(t.ONE)

    def _sets(self) -> t.Tree:
        tree = self._ratio()
        while ((text := self.text()) in _SETS and not isinstance(tree, t.Number)) or (
            text in ("U", "u", "n", "-", "\\")
            and isinstance(tree, t.Tuple | t.SetOperation | t.NumberSet)
        ):
            self.take()
            kind = _SETS.get(text) or {"n": "intersection", "-": "difference"}.get(text, "union")
            tree = t.SetOperation(kind, tree, self._ratio())
            self.deeper()
        return tree

    def _ratio(self) -> t.Tree:
        start, parts = self.at, [self.sum()]
        while self.text() == ":" and not self.in_builder:
            self.take()
            parts.append(self.sum())
        if len(parts) == 1:
            return parts[0]
        return t.Ratio(tuple(parts), _clock([token.text for token in self.tokens[start : self.at]]))


def _is_smaller(unit: Unit | None, than: Unit) -> bool:
    return unit is not None and unit.dimensions == than.dimensions and unit.factor < than.factor


def _clock(texts: list[str]) -> int | None:
    """Minutes after midnight of `4:30`, as far as it can be a time of day."""
    if len(texts) != 3 or not (texts[0].isdigit() and texts[2].isdigit() and len(texts[2]) == 2):
        return None
    if len(texts[0]) > 2:
        return None
    hours, minutes = int(texts[0]), int(texts[2])
    return 60 * hours + minutes if hours <= 24 and minutes < 60 else None


def times(factor: Fraction, value: t.Tree) -> t.Tree:
    """A value times a factor; a hundredth of it is a percentage."""
    if factor == Fraction(1, 100):
        return t.Call("percent", (value,))
    if isinstance(value, t.Number):
        scaled = value.value * factor
        return t.Number(scaled, value.decimal and scaled.denominator != 1)
    return t.Product((t.Number(factor), value))
