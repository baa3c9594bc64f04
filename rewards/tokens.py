"""A plain text cut into the tokens the parser reads.

A token is a number (`12.5`), a LaTeX command (`\\frac`), one letter, a sign, or a word, written
with a quote before it (`"east`): the content of `\\text{…}` and letters that make a known name.
"""

import re

from rewards.plain import ROW

MAX_LENGTH = 4_000  # characters of an answer
MAX_TOKENS = 1_500
MAX_DIGITS = 2_000  # of one number


class Unreadable(ValueError):
    """The text is not in the part of LaTeX that is read here."""


_COMMANDS = (
    "arcsin arccos arctan sinh cosh tanh sin cos tan cot sec csc sqrt ln log exp pi binom infty "
    "theta alpha beta gamma lambda frac gcd lcm max min floor ceil abs cup cap"
)
NAMES = {name: "\\" + name for name in _COMMANDS.split()}  # plain words that are commands
NAMES |= {"infinity": "\\infty", "inf": "\\infty", "oo": "\\infty", "asin": "\\arcsin"}
NAMES |= {"acos": "\\arccos", "atan": "\\arctan", "choose": "\\choose", "union": "\\cup"}
NAMES |= {"ceiling": "\\ceil", "lg": "\\log", "in": "\\in", "and": '"and', "or": '"or'}
NAMES |= {"plus": "+", "minus": "-", "times": "*"}
_GLUED = re.compile(r"(arcsin|arccos|arctan|sqrt|sin|cos|tan|cot|sec|csc|ln|log)(?=[a-z]$|$)")
_NUMBER = (
    r"(?:\d{1,3}(?:THOUSANDS\d{3})+(?!\d)|\d+)?(?:\.\d+|\.(?=\s*\\(?:overline|bar|dot)\b))"
    r"|\d{1,3}(?:THOUSANDS\d{3})+(?!\d)|\d+"
)
_TOKEN = re.compile(
    r"\s+|\\text\s*\{(?P<text>[^{}]*)\}|\\begin\s*\{(?P<begin>[a-zA-Z]+\*?)\}|"
    r"\\end\s*\{(?P<end>[a-zA-Z]+\*?)\}|\\mathbb\s*\{(?P<field>[A-Z])\}|"
    r"(?P<ellipsis>\.\.\.|\\[lc]?dots(?![a-zA-Z]))|"
    r"(?P<command>\\[a-zA-Z]+|\\[{}|])|(?P<letters>[a-zA-Z]+)|(?P<prime>'+)|"
    rf"(?P<sign>[-+*/^!(){{}}\[\],;:=<>|_&%{ROW}])"
)
_EXPONENT = re.compile(r"[eE][-+]?\d{1,5}(?![\w.^])")
_NUMBERS = {
    True: re.compile(_NUMBER.replace("THOUSANDS", "[, ]")),
    False: re.compile(_NUMBER.replace("THOUSANDS", "[ ]")),
}


def tokenize(text: str, *, thousands: bool = True) -> list[str]:
    """The tokens of a plain text; a comma before three digits parts thousands if `thousands`.

    Inside brackets it never does: `(100,200)` is a pair.
    """
    if len(text) > MAX_LENGTH:
        raise Unreadable("too long")
    tokens: list[str] = []
    at = depth = 0
    while at < len(text):
        number = _NUMBERS[thousands and depth == 0].match(text, at)
        if number:
            at = number.end()
            digits = re.sub("[, ]", "", number.group())
            exponent = _EXPONENT.match(text, at)
            if exponent:
                digits, at = digits + exponent.group(), exponent.end()
            if len(digits) > MAX_DIGITS:
                raise Unreadable("too many digits")
            tokens.append(digits)
            continue
        found = _TOKEN.match(text, at)
        if not found:
            raise Unreadable(f"unexpected {text[at]!r}")
        at = found.end()
        tokens.extend(_named(found))
        if tokens and found["sign"] and found["sign"] in "([":
            depth += 1
        elif tokens and found["sign"] and found["sign"] in ")]":
            depth -= 1
        elif found["command"] in ("\\{", "\\langle"):
            depth += 1
        elif found["command"] in ("\\}", "\\rangle"):
            depth -= 1
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("too many parts")
    return tokens


def _named(found: re.Match[str]) -> list[str]:
    if found["text"] is not None:
        word = found["text"].strip()
        return [NAMES.get(word, '"' + word)] if word else []
    if found["begin"]:
        return ["\\begin", found["begin"]]
    if found["end"]:
        return ["\\end", found["end"]]
    if found["field"]:
        return ["\\mathbb" + found["field"]]
    if found["ellipsis"]:
        return ["..."]
    if found["prime"]:
        return ["'"]
    if found["letters"]:
        return _letters(found["letters"])
    token = found["command"] or found["sign"]
    return [token] if token else []


def _letters(run: str) -> list[str]:
    """A known name, or single letters: `xy` is a product; `sinx` is a function of x."""
    if run in NAMES:
        return [NAMES[run]]
    glued = _GLUED.match(run)
    if glued:
        return [NAMES[glued.group()], *run[glued.end() :]]
    if len(run) > 3 or (len(run) == 3 and run[1:] == run[1:].lower() and run[0].isupper()):
        return ['"' + run]  # a word
    return list(run)
