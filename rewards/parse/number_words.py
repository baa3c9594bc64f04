"""Numbers in English words, where an answer begins with one: "twenty-five", "two hundred five"."""

import re

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {word: value for value, word in enumerate(_UNITS)}
_VALUES |= {word: 10 * tens for tens, word in enumerate(_TENS, start=2)}

_FRACTIONS = {"half": "1/2", "a half": "1/2", "three quarters": "3/4", "one quarter": "1/4"}
_ONE = rf"(?:(?:{'|'.join(_TENS)})(?:[-\s]?(?:{'|'.join(_UNITS[1:10])}))?|{'|'.join(_UNITS[::-1])})"
_NUMBER = re.compile(
    rf"(?P<before>(?:\\text\s*\{{\s*)?(?:negative\s|minus\s)?)"
    rf"(?:(?P<hundreds>{_ONE})\shundred(?:(?:\sand)?\s(?P<rest>{_ONE}))?|(?P<alone>{_ONE}))"
    r"(?:(?=\s*[}.,]|\s+[a-z]|\s*$)|-(?=half|third|fourth))(?!\s*(?:and\b|or\b|of\b|to\b|,|[a-z\s]{1,40}:))",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """`text` with the number it begins with in digits: "five apples" as "5 apples"."""
    alone = text.removeprefix("\\text{").removesuffix("}").casefold().replace("-", " ")
    if fraction := _FRACTIONS.get(alone):
        return fraction
    if not (found := _NUMBER.match(text)):
        return text
    value = _value(found["alone"]) if found["alone"] else 100 * _value(found["hundreds"])
    value += _value(found["rest"]) if found["rest"] else 0
    return f"{found['before']}{value} {text[found.end() :].lstrip()}"


def _value(words: str) -> int:
    words = words.casefold()
    for tens in _TENS:
        if words.startswith(tens):
            rest = words[len(tens) :].lstrip("- ")
            return _VALUES[tens] + (_VALUES[rest] if rest else 0)
    return _VALUES[words]
