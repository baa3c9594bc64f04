"""A place in a list of tokens, with limits on depth; the base of the parser."""

from rewards.parse.modifiers import SEPARATORS
from rewards.parse.tokens import Token, Unreadable
from rewards.parse.units import Unit

MAX_DEPTH = 40
MAX_CHAIN = 40  # divisions or signs behind a value in a row

_END = Token("end", "")


class Cursor:
    """Reads tokens one by one. `in_absolute`, `in_builder`: whether `|` closes something."""

    def __init__(self, tokens: list[Token]):
        self.tokens, self.at, self.depth = tokens, 0, 0
        self.in_absolute = 0
        self.in_builder = False
        self.money: Unit | None = None  # whose sign stands before the value that is read

    def token(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else _END

    def text(self, ahead: int = 0) -> str:
        """The token's text; for a word nothing, so that no word is taken for a sign."""
        token = self.token(ahead)
        return "" if token.kind in ("word", "unit", "money") else token.text

    def take(self, expected: str | None = None) -> Token:
        token = self.token()
        if token.kind == "end" or (expected is not None and token.text != expected):
            raise Unreadable(f"expected {expected or 'more'}, found {token.text or 'the end'}")
        self.at += 1
        return token

    def is_word(self, ahead: int = 0) -> bool:
        """Whether a word that separates nothing is next."""
        token = self.token(ahead)
        return token.kind == "word" and token.text.casefold() not in SEPARATORS

    def separator(self, ahead: int = 0) -> str | None:
        """The separator that is next: a comma, a semicolon, "and", "or"."""
        token = self.token(ahead)
        if token.kind == "word":
            word = token.text.casefold()
            return word if word in SEPARATORS else None
        return token.text if token.text in (",", ";", "&") and token.kind == "sign" else None

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too deep")
