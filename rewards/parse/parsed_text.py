"""A text understood: a number, a choice letter, words, or trees. Each text is read once."""

import functools
import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.parse import tree as t
from rewards.parse.literals import read_number
from rewards.parse.normalize import as_words, normalize
from rewards.parse.parser import parse
from rewards.parse.spelling import MONEY
from rewards.parse.tokens import MAX_LENGTH, Unreadable

EMPTY = t.Set(())
_ZERO = t.Number(Fraction(0))
_ALL = r"(?:setof)?(?:all)?"
_NONE = (
    r"(?:there(?:is|are))?no(?:real|integer|valid|such)?(?:solutions?|roots?|values?)(?:exists?)?"
)
_KNOWN = [
    (re.compile(rf"{_NONE}|emptyset|none|无解"), EMPTY),
    (re.compile(rf"{_ALL}realnumbers?|{_ALL}reals|(?:any)realnumber"), t.REALS),
    (re.compile(rf"{_ALL}integers?"), t.NumberSet("Z")),
    (re.compile(rf"{_ALL}(?:naturalnumbers|positiveintegers)"), t.NumberSet("N")),
    (re.compile(rf"{_ALL}rational(?:number)?s"), t.NumberSet("Q")),
    (re.compile(rf"{_ALL}positivereal(?:number)?s"), t.Tuple((_ZERO, t.INFINITY))),
    (re.compile(rf"{_ALL}non-?negativereal(?:number)?s"), t.Tuple((_ZERO, t.INFINITY), "[)")),
    (re.compile(rf"{_ALL}negativereal(?:number)?s"), t.Tuple((t.Negative(t.INFINITY), _ZERO))),
    (
        re.compile(r"(?:limit|it|integral|series|sum)?(?:is)?(?:undefined|doesnotexist|dne)"),
        t.Word("undefined"),
    ),
    (re.compile(r"(?:it|series|integral)?(?:is)?diverge(?:s|nt)"), t.Word("divergent")),
    (re.compile(r"(?:it|series|integral)?(?:is)?converge(?:s|nt)"), t.Word("convergent")),
    (re.compile(r"(?:positive)?infinity|infinitelymany(?:solutions)?|infinite"), t.INFINITY),
    (re.compile(r"negativeinfinity"), t.Negative(t.INFINITY)),
]
_ARTICLE = re.compile(
    r"\b(?:the|an?)\s+(?=[a-zA-Z]{2})|\s+only\b|^(?:\\text\s*\{)?(?:on|in|at)\s+(?=[a-z])",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"(?<=\S)\s*,?\s*(?:\\text\s*\{\s*,?\s*|\s)(?:for|where|at|when)\b.*$", re.S
)
_EXCEPT = re.compile(
    r"(?:\\text\s*\{\s*)?(?i:all|any)\s+real(?:s|\s+(?:numbers?|values?))(?:\s+of)?(?:\s+[a-z])?\s*,?\s*"
    r"(?i:except|excluding|other\s+than|but)(?:\s+for)?\s*\}?(.*?)\}?",
    re.S,
)
_MEASURED = re.compile(r"[a-zA-Z]\s?=\s?(-?[\d.]+[a-zA-Z])")
_COMMAS = re.compile(r"\d,\d{3}(?!\d)")
_CHOICE = re.compile(r"\(?([A-J])\)?|\(([A-J])\)\s*[.:]?\s*(\S.*)|([A-J])[.:)]\s*(\S.*)", re.S)
_MONEY = re.compile(f"[{MONEY}]")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A normalised text; `number` is its value where the whole text is a plain number, perhaps of
    `money` (the sign of a currency)."""

    normal: str
    number: t.Number | None
    is_gold: bool = False
    money: str = ""

    @property
    def words(self) -> str:
        """The text as words are compared."""
        return _words(self.normal)

    @property
    def trees(self) -> tuple[t.Tree, ...]:
        """The possible readings as trees; none where the text is no formula."""
        return _trees(self.normal, self.is_gold)

    @property
    def without_font(self) -> str:
        """The text without the borders of words."""
        return _TEXT.sub(r"\1", self.normal).strip(" .*")

    def choice(self) -> tuple[str, str] | None:
        """The letter of a choice and what stands behind it, where the text is one."""
        found = _CHOICE.fullmatch(self.without_font.strip("{}"))
        if not found:
            return None
        return (found[1] or found[2] or found[4]), (found[3] or found[5] or "")


@functools.lru_cache(maxsize=8192)
def read(text: str, *, is_gold: bool = False) -> ParsedText:
    """Read an answer or a gold; never raises."""
    normal = normalize(text[: MAX_LENGTH + 1])
    money = "" if normal.isascii() else "".join(_MONEY.findall(normal))
    plain = _MONEY.sub("", normal) if len(money) == 1 else normal
    return ParsedText(normal, read_number(plain.strip()), is_gold, money)


@functools.lru_cache(maxsize=8192)
def _words(normal: str) -> str:
    return as_words(_ARTICLE.sub("", normal))


@functools.lru_cache(maxsize=8192)
def _trees(normal: str, is_gold: bool) -> tuple[t.Tree, ...]:
    words = _words(normal)
    for pattern, tree in _KNOWN:
        if pattern.fullmatch(words):
            return (tree,)
    if excepted := _EXCEPT.fullmatch(normal):
        outside = _trees(excepted[1].strip(), is_gold)
        return tuple(t.SetOperation("difference", t.REALS, _as_set(tree)) for tree in outside)
    trees: list[t.Tree] = []
    both = _COMMAS.search(normal) and not (is_gold and read_number(normal))
    for thousands in (True, False) if both else (True,):
        try:
            trees.append(parse(normal, thousands=thousands))
        except (Unreadable, RecursionError):
            continue
        except (ValueError, ArithmeticError, AssertionError, LookupError, TypeError):
            continue  # an answer is hostile input: whatever it provokes, it is unreadable
    if measured := _MEASURED.fullmatch(normal):
        trees.extend(_trees(measured[1], is_gold))  # t = 5s may be five seconds, or 5 times s
    if not trees and (condition := _CONDITION.search(normal)):
        return _trees(normal[: condition.start()].strip(), is_gold)
    return tuple(dict.fromkeys(trees))


def _as_set(tree: t.Tree) -> t.Tree:
    items = tree.items if isinstance(tree, t.List) else (tree,)
    return t.Set(tuple(item.value if isinstance(item, t.Assignment) else item for item in items))


def is_known(words: str) -> bool:
    """Whether words stand for a set or value: "no solution", "all real numbers"."""
    return any(pattern.fullmatch(words) for pattern, _ in _KNOWN)
