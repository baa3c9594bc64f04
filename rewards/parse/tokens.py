"""A normalised text cut into the tokens the parser reads."""

import re
from typing import Literal, NamedTuple

from rewards.parse.modifiers import MULTIPLIERS
from rewards.parse.spelling import DOLLAR, MONEY, ROW
from rewards.parse.units import CURRENCIES, Unit, unit_behind

MAX_LENGTH = 4_000  # characters of an answer
MAX_TOKENS = 1_500
MAX_DIGITS = 2_000  # of one number
MEASURED_IN = {  # units of one letter that may be glued to the number of a name: t = 5s
    "t": "sh", "T": "sKN", "m": "g", "d": "m", "h": "m", "l": "m", "L": "m", "s": "m", "r": "m",
    "F": "N", "E": "J", "W": "J", "P": "W", "V": "VL", "I": "A",
}  # fmt: skip


class Unreadable(ValueError):
    """The text is not in the part of LaTeX that is read here."""


class Token(NamedTuple):
    """`text` is a number, a command with its backslash, a letter, a sign or a word.

    `spaced` says whether a space (or the border of a `\\text`) stands before it.
    """

    kind: Literal["number", "command", "letter", "sign", "word", "unit", "money", "end"]
    text: str
    spaced: bool = False
    unit: Unit | None = None


_COMMANDS = (
    "arcsin arccos arctan arcsec arccsc arccot sinh cosh tanh sin cos tan cot sec csc sqrt cbrt ln "
    "log exp cis pi binom infty theta alpha beta gamma lambda omega sigma frac gcd lcm max min "
    "floor ceil abs cup cap det mod choose in pm approx degrees"
)
_NAMES = {name: "\\" + name for name in _COMMANDS.split()} | {  # plain words that are commands
    "infinity": "\\infty", "inf": "\\infty", "oo": "\\infty", "asin": "\\arcsin",
    "acos": "\\arccos", "atan": "\\arctan", "union": "\\cup", "ceiling": "\\ceil", "lg": "\\log",
    "degree": "\\degrees", "deg": "\\degrees",
}  # fmt: skip
_OPERATORS = {"plus": "+", "minus": "-", "times": "*"}  # between values only
_GLUED = re.compile(r"(arcsin|arccos|arctan|sqrt|sin|cos|tan|cot|sec|csc|ln|log|pi)(?=[a-z]$|$)")
_ENGLISH = frozenset(
    "a an and are but can for had has her him his how its may not nor now off one only or our out "
    "own per she the too two was way who why yes you is no if of on to by at be it as do he so "
    "us we my go up all any each both the won odd red day kg cm mm km ft lb oz mi hr".split()
)
_NUMBER = r"(?:GROUPED(?!\d)|\d+)?(?:\.\d+|\.(?=\s*\\(?:overline|bar|dot)\b))|GROUPED(?!\d)|\d+"
_GROUPED = r"(?:\d{1,3}(?:[, ]\d{3})+|\d{1,2}(?:,\d{2})+,\d{3})"  # 1,234,567 or 12,34,567
_NUMBERS = {
    True: re.compile(_NUMBER.replace("GROUPED", _GROUPED)),
    False: re.compile(_NUMBER.replace("GROUPED", r"\d{1,3}(?: \d{3})+")),
}
_IN_BASE = re.compile(r"(?=\d*[A-F])[\dA-F]{2,40}(?=_(?:\{1[1-6]\}|1[1-6](?!\d)))")  # 2A_{16}
_TOKEN = re.compile(
    r"\s+|\\text\s*\{(?P<text>[^{}]*)\}|\\begin\s*\{(?P<begin>[a-zA-Z]+\*?)\}|"
    r"\\end\s*\{(?P<end>[a-zA-Z]+\*?)\}|\\mathbb\s*\{(?P<field>[A-Z])\}|"
    r"(?P<ellipsis>\.\.\.|\\[lc]?dots(?![a-zA-Z]))|"
    r"(?P<command>\\[a-zA-Z]+|\\[{}|])|(?P<prime>'+)|(?P<letters>[^\W\d_]+)|"
    rf"(?P<sign>[-+*/^!(){{}}\[\],;:=<>|_&%{ROW}])|(?P<money>[{MONEY}])"
)
_PER = re.compile(r"/\s?[a-zA-Z]{2}")
_IN_TEXT = re.compile(
    r"\s+|(?P<letters>[^\W\d_]+(?:[-'.][^\W\d_]+)*\.?)|(?P<sign>[-+*/^!()\[\],;:=<>|_&%])"
    rf"|(?P<money>[{MONEY}])|[\"?.']"
)
_EXPONENT = re.compile(r"[eE][-+]?\d{1,5}(?![\w.^])")
_MORE_WORDS = re.compile(r"\s+[a-zA-Z]")
_AFTER_UNIT = re.compile(
    r"\s*(?:$|[,;)\]=|:]|\\|\s\d|(?:and|or|long|wide|high|tall|deep|of|each|in)\b)"
)


class _Lexer:
    """Cuts one text; `thousands`: whether a comma before three digits parts thousands."""

    def __init__(self, thousands: bool):
        self.thousands = thousands
        self.tokens: list[Token] = []
        self.depth = 0
        self.spaced = False

    def cut(self, text: str, *, in_text: bool = False) -> None:
        at = 0
        while at < len(text):
            at = self._number(text, at) or self._other(text, at, in_text)
            if len(self.tokens) > MAX_TOKENS:
                raise Unreadable("too many parts")

    def add(self, kind: str, text: str) -> None:
        self.tokens.append(Token(kind, text, self.spaced))  # type: ignore[arg-type]
        self.spaced = False
        if text in ("(", "[", "\\{", "\\langle"):
            self.depth += 1
        elif text in (")", "]", "\\}", "\\rangle"):
            self.depth -= 1

    def _number(self, text: str, at: int) -> int | None:
        if in_base := _IN_BASE.match(text, at):
            self.add("number", in_base.group())
            return in_base.end()
        found = _NUMBERS[self.thousands and self.depth == 0].match(text, at)
        if not found:
            return None
        end = found.end()
        digits = re.sub("[, ]", "", found.group())
        if exponent := _EXPONENT.match(text, end):
            digits, end = digits + exponent.group(), exponent.end()
        if len(digits) > MAX_DIGITS:
            raise Unreadable("too many digits")
        self.add("number", digits)
        return end

    def _other(self, text: str, at: int, in_text: bool) -> int:
        found = (_IN_TEXT if in_text else _TOKEN).match(text, at)
        if not found:
            raise Unreadable(f"unexpected {text[at]!r}")
        groups = {name: value for name, value in found.groupdict().items() if value is not None}
        if not groups:
            self.spaced = True
        elif _PER.match(text, at) and (unit := self._unit(text, at, in_text)):
            return unit
        elif "letters" in groups:
            return self._unit(text, at, in_text) or self._letters(found, in_text)
        elif "text" in groups:
            self.spaced = True
            self.cut(groups["text"].strip(), in_text=True)
            self.spaced = groups["text"][-1:] == " " or not text.startswith("(", found.end())
        elif "begin" in groups or "end" in groups:
            self.add("command", "\\begin" if "begin" in groups else "\\end")
            self.add("word", groups.get("begin") or groups["end"])
        elif "field" in groups:
            self.add("command", "\\mathbb" + groups["field"])
        elif "ellipsis" in groups:
            self.add("sign", "...")
        elif "money" in groups:
            sign = "$" if found.group() == DOLLAR else found.group()
            self.tokens.append(Token("money", sign, self.spaced, CURRENCIES[sign]))
            self.spaced = False
        elif "prime" in groups:
            self.add("sign", "'")
        else:
            self.add("command" if "command" in groups else "sign", found.group())
        return found.end()

    def _unit(self, text: str, at: int, in_text: bool) -> int | None:
        """Take the longest unit that begins here, behind a value; where it ends, or None."""
        last = self.tokens[-1] if self.tokens else None
        if last is None or not _ends_value(last):
            return None
        best = unit_behind(text, at)
        if best is None:
            return None
        unit, end = best
        alone = re.fullmatch(r"[a-zA-Z]", text[at:end])
        if alone and not in_text and not self.spaced and not self._is_measured(text[at]):
            return None
        before = [(token.kind, token.text) for token in self.tokens[-3:-1]]
        is_power = before[1:] == [("sign", "^")] and before[0][0] == "letter"  # r^2 h
        if alone and not in_text and (last.kind != "number" or is_power):
            return None
        unsure = alone or text[at:end] in ("in", "min") or not _MORE_WORDS.match(text, end)
        if not in_text and unsure and not _AFTER_UNIT.match(text, end):
            return None
        self.tokens.append(Token("unit", text[at:end], self.spaced, unit))
        self.spaced = False
        return end

    def _is_measured(self, unit: str) -> bool:
        """Whether the number before is that of a name which such a unit measures: t = 5s."""
        texts = [token.text for token in self.tokens[-4:-1] if token.text != "-"]
        return texts[-1:] == ["="] and unit in MEASURED_IN.get("".join(texts[-2:-1]), "")

    def _letters(self, found: re.Match[str], in_text: bool) -> int:
        run, rest = found["letters"], found.string[found.end() :]
        if in_text:
            run = run.rstrip(".")
        if run in _NAMES and not (run == "in" and not rest.strip()):
            self.add("command", _NAMES[run])
        elif run in _OPERATORS and re.match(r"\s*(?:[\d(\\]|[a-z]\b)", rest):
            self.add("sign", _OPERATORS[run])
        elif in_text:
            alone = (
                len(run) == 1 and run < "\u3000" and not found.string.strip(run + "^ 0123456789_")
            )
            self.add("letter" if alone else "word", run)
        elif glued := _GLUED.match(run):
            self.add("command", _NAMES[glued.group()])
            for letter in run[glued.end() :]:
                self.add("letter", letter)
        elif _is_word(run):
            self.add("word", run)
        else:
            for letter in run:
                self.add("letter", letter)
        return found.end()


def _is_word(run: str) -> bool:
    return (
        len(run) > 3
        or (len(run) > 1 and run.casefold() in _ENGLISH and not run.isupper())
        or (len(run) == 3 and run[0].isupper() and run[1:].islower())
        or run[0] > "\u3000"
        or run.casefold() in MULTIPLIERS
    )


def _ends_value(token: Token) -> bool:
    return token.kind in ("number", "letter") or token.text in (
        ")", "]", "}", "|", "!", "\\pi", "\\infty", "\\rangle", "\\end",
    )  # fmt: skip


def tokenize(normal: str, *, thousands: bool = True) -> list[Token]:
    """The tokens of a normalised text; a comma before three digits parts thousands if `thousands`.

    Inside brackets it never does: `(100,200)` is a pair.
    """
    if len(normal) > MAX_LENGTH:
        raise Unreadable("too long")
    lexer = _Lexer(thousands)
    lexer.cut(normal)
    return lexer.tokens
