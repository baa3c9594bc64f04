"""Simple LaTeX, and plain arithmetic, read into a small tree; linear in time, bounded in size.

A tree is a tuple: `("num", Fraction)`, `("name", str)`, `("neg", x)`, an operator with two
operands (`"+"`, `"*"`, `"/"`, `"^"`), a function with one (`"sqrt"`, `"sin"`, …, `"!"`), or
`("tuple", bracket, items…)`. Nothing is ever evaluated as code.
"""

import re
from fractions import Fraction
from typing import Any

MAX_LENGTH = 600
MAX_DEPTH = 40
MAX_DIGITS = 60

Tree = tuple[Any, ...]

FUNCTIONS = (
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "arcsin",
    "arccos",
    "arctan",
    "ln",
    "log",
    "exp",
)
_GREEK = ("alpha", "beta", "gamma", "theta", "lambda", "mu", "phi", "omega", "pi")

_TOKEN = re.compile(r"\s+|\d+(?:\.\d+)?|\.\d+|\\[a-zA-Z]+|[a-zA-Z]|[-+*/^!(){}\[\],_=]")
_CLEAN = [
    (re.compile(r"\\(?:left|right|displaystyle|,|!|;|:|quad)(?![a-zA-Z])"), ""),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]*\}"), ""),
    (re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|°"), ""),
    (re.compile(r"\\[dt]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:cdot|times)(?![a-zA-Z])|×|·"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])|÷"), "/"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"\\?\$|\\ |~"), " "),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"\*\*"), "^"),
]


class Unreadable(ValueError):
    """The text is not in the part of LaTeX that is read here."""


def clean(text: str) -> str:
    """`text` without what does not change its value: spacing, sizes, units in \\text, dollars."""
    for pattern, replacement in _CLEAN:
        text = pattern.sub(replacement, text)
    return text.strip().rstrip(".").strip()


def parse(text: str) -> Tree:
    """Read `text`; raises Unreadable if it is too long, too deep, or something else."""
    if len(text) > MAX_LENGTH:
        raise Unreadable("too long")
    parser = _Parser(_tokens(clean(text)))
    tree = parser.statement()
    if parser.token() is not None:
        raise Unreadable(f"unexpected {parser.token()!r}")
    return tree


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise Unreadable(f"unexpected {text[at]!r}")
        if not found.group().isspace():
            tokens.append(found.group())
        at = found.end()
    return tokens


class _Parser:
    """Recursive descent: statement, list, sum, product, power, atom."""

    def __init__(self, tokens: list[str]):
        self.tokens, self.at, self.depth = tokens, 0, 0

    def token(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, expected: str | None = None) -> str:
        token = self.token()
        if token is None or (expected is not None and token != expected):
            raise Unreadable(f"expected {expected or 'more'}, found {token or 'the end'}")
        self.at += 1
        return token

    def statement(self) -> Tree:
        """A value or list of values; a single name and `=` before it is an assignment."""
        if self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] == "=":
            name = self.token() or ""
            if name.isalpha():
                self.at += 2
        items = self._items()
        return items[0] if len(items) == 1 else ("tuple", "", *items)

    def _items(self) -> list[Tree]:
        items = [self.sum()]
        while self.token() == ",":
            self.take()
            items.append(self.sum())
        return items

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too deep")
        tree = self.product()
        while self.token() in ("+", "-"):
            sign = self.take()
            right = self.product()
            tree = ("+", tree, ("neg", right) if sign == "-" else right)
        self.depth -= 1
        return tree

    def product(self) -> Tree:
        if self.token() in ("+", "-"):
            sign = self.take()
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise Unreadable("too deep")
            inner = self.product()
            self.depth -= 1
            return ("neg", inner) if sign == "-" else inner
        tree = self.power()
        while (token := self.token()) is not None:
            if token in ("*", "/"):
                self.take()
                negative = self.token() == "-"
                if negative:
                    self.take()
                right = self.power()
                tree = (token, tree, ("neg", right) if negative else right)
            elif token[0].isalpha() or token[0] == "\\" or token in ("(", "{"):
                if token in ("\\frac",) and tree[0] == "num" and self._mixed(tree):
                    tree = ("+", tree, self.power())
                else:
                    tree = ("*", tree, self.power())
            else:
                break
        return tree

    def _mixed(self, whole: Tree) -> bool:
        """Whether the number before a fraction of plain numbers makes it a mixed number."""
        following = "".join(self.tokens[self.at : self.at + 7])
        return whole[1].denominator == 1 and bool(
            re.match(r"\\frac(?:\{\d+\}\{\d+\}|\d{2}$|\d\d)", following)
        )

    def power(self) -> Tree:
        tree = self.atom()
        while self.token() in ("^", "!"):
            tree = ("!", tree) if self.take() == "!" else ("^", tree, self.argument())
        return tree

    def argument(self) -> Tree:
        """What follows `^` or a command: a group, or one token (of a number, one digit)."""
        token = self.token()
        if token == "{":
            return self.group("{", "}")
        if token == "-":
            self.take()
            return ("neg", self.argument())
        if token is not None and token.isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        return self.atom()

    def group(self, opening: str, closing: str) -> Tree:
        self.take(opening)
        tree = self.sum()
        self.take(closing)
        return tree

    def atom(self) -> Tree:
        token = self.take()
        if token[0].isdigit() or token[0] == ".":
            if len(token) > MAX_DIGITS:
                raise Unreadable("too many digits")
            return ("num", Fraction(token))
        if token == "{":
            self.at -= 1
            return self.group("{", "}")
        if token in ("(", "["):
            items = self._items()
            closing = self.take()
            if closing not in (")", "]"):
                raise Unreadable(f"expected a closing bracket, found {closing!r}")
            if len(items) == 1 and token + closing == "()":
                return items[0]
            return ("tuple", token + closing, *items)
        if token == "\\frac":
            top = self.argument()
            return ("/", top, self.argument())
        if token == "\\sqrt":
            root: Tree = ("num", Fraction(2))
            if self.token() == "[":
                self.take()
                root = self.sum()
                self.take("]")
            return ("^", self.argument(), ("/", ("num", Fraction(1)), root))
        if token == "\\infty":
            return ("name", "infinity")
        if token[0] == "\\" and token[1:] in FUNCTIONS:
            return self._function(token[1:])
        if token[0] == "\\" and token[1:] in _GREEK:
            return ("name", token[1:])
        if token.isalpha():
            return self._name(token)
        raise Unreadable(f"unexpected {token!r}")

    def _function(self, name: str) -> Tree:
        power = None
        if self.token() == "^":
            self.take()
            power = self.argument()
        argument = self.group("(", ")") if self.token() == "(" else self.power()
        return ("^", (name, argument), power) if power else (name, argument)

    def _name(self, letter: str) -> Tree:
        """A letter with its subscript; `sqrt(…)` and `pi` as plain text are read as meant."""
        following = "".join(self.tokens[self.at : self.at + 3])
        if letter == "s" and following == "qrt":
            self.at += 3
            return ("^", self.group("(", ")"), ("num", Fraction(1, 2)))
        if letter == "p" and following[:1] == "i":
            self.at += 1
            return ("name", "pi")
        if self.token() == "_":
            self.take()
            letter += "_" + "".join(map(str, self.argument()[1:]))
        return ("name", letter)
