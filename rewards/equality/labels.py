"""Words that tell values apart: north from south, March from May, a row from a column.

Words beside a value are set aside, because problems name what golds leave out. But where the
answer and the gold both name something, it must not be the opposite, nor the other way round.
"""

import re

from rewards.parse.literals import read_number
from rewards.parse.units import parse_unit

_APART = (  # of which one is not another; words parted by | are one
    "bc|bce ad|ce", "north|northward south|southward east|eastward west|westward",
    "northeast northwest southeast southwest", "up|upward|upwards down|downward|downwards",
    "left right", "above below|beneath", "forward|forwards|ahead backward|backwards|behind|back",
    "clockwise counterclockwise|anticlockwise", "inside outside", "before|ago|earlier after|later",
    "early late", "profit|gain|win|won|increase|rise|growth|raise"
    " loss|lose|lost|decrease|fall|drop|decline|reduction",
    "more|extra|surplus|longer|taller|heavier|older|faster|bigger|larger|higher"
    " less|fewer|short|shorter|lighter|younger|slower|smaller|lower|missing",
    "owes|owed|debt saved|savings", "deposit withdrawal", "even odd", "open closed",
    "boy|man|male|husband|father|brother|son girl|woman|female|wife|mother|sister|daughter",
    "adult child|kid", "penny|pennies nickel dime quarter", "row column",
    "square cubic", "maximum|max|greatest|largest minimum|min|least|smallest",
    "real imaginary", "horizontal vertical", "local global", "rational irrational",
    "january|jan february|feb march|mar april|apr may june|jun july|jul august|aug"
    " september|sep|sept october|oct november|nov december|dec",
    "monday|mon tuesday|tue wednesday|wed thursday|thu friday|fri saturday|sat sunday|sun",
)  # fmt: skip
_MEMBERS = {
    word: (kind, member)
    for kind, row in enumerate(_APART)
    for member, names in enumerate(row.split())
    for word in names.split("|")
}
_IRREGULAR = {"men": "man", "women": "woman", "children": "child", "wives": "wife"}
_WORD = re.compile(r"[a-z]+(?:\.[a-z]\.?)*")
_VALUE_OR_WORD = re.compile(r"(?P<value>-?\d[\d.,]*(?<=\d))|(?P<word>[a-z]{2,})")


def contradict(answer: str, gold: str) -> bool:
    """Whether the words of two normalised texts say that their values are of different things."""
    mine, theirs = _plain(answer), _plain(gold)
    if not (_WORD.search(mine) and _WORD.search(theirs)):
        return False
    kinds, others = _kinds(mine), _kinds(theirs)
    if any(not kinds[kind] & others[kind] for kind in kinds.keys() & others.keys()):
        return True
    labelled, wanted = _labelled(mine), _labelled(theirs)
    return labelled.keys() == wanted.keys() and any(
        read_number(labelled[label]) != read_number(wanted[label]) for label in labelled
    )


def _plain(normal: str) -> str:
    return re.sub(r"\\text|\\[a-z]+|[{}$]", " ", normal.casefold())


def _kinds(text: str) -> dict[int, set[int]]:
    """The members of each kind that a text names."""
    kinds: dict[int, set[int]] = {}
    for word in _WORD.findall(text):
        word = word.replace(".", "")
        word = _IRREGULAR.get(word, word)
        kind, member = _MEMBERS.get(word) or _MEMBERS.get(word.removesuffix("s")) or (-1, 0)
        if kind >= 0:
            kinds.setdefault(kind, set()).add(member)
    return kinds


def _labelled(text: str) -> dict[str, str]:
    """Numbers by the word before each, or behind each, where there are several and no units."""
    pieces = [m for m in _VALUE_OR_WORD.finditer(text) if m.group() not in ("and", "or", "the")]
    kinds = [m.lastgroup or "" for m in pieces]
    words, values = (
        [m.group() for m in pieces if m["word"]],
        [m.group() for m in pieces if m["value"]],
    )
    alternate = kinds in (["word", "value"] * len(values), ["value", "word"] * len(values))
    if len(values) < 2 or not alternate or len(set(words)) < len(words):
        return {}
    if any(parse_unit(word) for word in words):
        return {}
    return dict(zip(words, values, strict=True))
