"""An extracted text understood: a choice letter, words, or trees with a unit."""

import dataclasses
import functools
import re

from rewards.compare import compare
from rewards.judges import Answer, Quick
from rewards.latex import Tree, parse
from rewards.plain import plain, words_of
from rewards.settle import settle
from rewards.tokens import MAX_LENGTH, Unreadable
from rewards.units import factor, split_unit

EMPTY: Tree = ("set",)
REALS: Tree = ("reals",)
_KNOWN_WORDS: dict[str, Tree] = {
    "nosolution": EMPTY, "nosolutions": EMPTY, "norealsolution": EMPTY, "norealsolutions": EMPTY,
    "emptyset": EMPTY, "theemptyset": EMPTY, "allreals": REALS, "allrealnumbers": REALS,
    "undefined": ("word", "undefined"), "doesnotexist": ("word", "undefined"),
    "dne": ("word", "undefined"), "infinity": ("name", "infinity"),
}  # fmt: skip
_CHOICE_GOLD = re.compile(r"\(?([A-J])\)?|\(([A-J])\)\s*\S.*", re.S)
_CHOICE = re.compile(
    r"\(\s*([A-Ja-j])\s*\)(?:[\s.:,].*)?|([A-J])(?:[.:)](?:\s.*)?)?|([a-j])\)?", re.S
)
_LETTERS = re.compile(r"[a-z]{3,}")
_MANY_COMMAS = re.compile(r"\d,\d{3}(?!\d)")


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What a text says. `trees` are its possible readings, none where it is only words."""

    text: str
    words: str
    trees: tuple[Tree, ...]
    unit: str | None


@functools.lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Read an answer or a gold; never raises."""
    whole = plain(text[: MAX_LENGTH + 1])
    words = words_of(whole)
    if known := _KNOWN_WORDS.get(words):
        return Reading(whole, words, (known,), None)
    value, unit = split_unit(whole)
    trees: list[Tree] = []
    for thousands in (True, False) if _MANY_COMMAS.search(value) else (True,):
        try:
            trees.append(parse(value, thousands=thousands))
        except (Unreadable, RecursionError):
            continue
    return Reading(whole, words, tuple(dict.fromkeys(trees)), unit)


def close_text(text: str) -> str:
    """The text without the spaces that part nothing; case kept."""
    text = re.sub(r"(?<![\w])\s+|\s+(?![\w])", "", text)
    return re.sub(r"\{(\w)\}", r"\1", text)


def same(answer: Reading, gold: Reading, judge: Quick) -> tuple[Answer, str]:
    """Whether the readings mean the same (None: the judge cannot tell), and the rule."""
    choice = _choice(answer, gold)
    if choice is not None:
        return choice, "choice"
    if close_text(answer.text) == close_text(gold.text):
        return True, "same text"
    if _LETTERS.fullmatch(answer.words) and _LETTERS.fullmatch(gold.words):
        lists = [tree for tree in (*answer.trees, *gold.trees) if tree[0] == "list"]
        if answer.words == gold.words or not lists:
            return answer.words == gold.words, "words"
    if not answer.trees or not gold.trees:
        if answer.words == gold.words and answer.words:
            return True, "same words"
        return False, "unreadable" if not answer.trees else "text differs"
    scale = factor(answer.unit, gold.unit)
    if scale is None:
        return False, "units differ"
    verdicts: list[Answer] = []
    for a in answer.trees:
        for g in gold.trees:
            scaled = a if scale == 1 else ("*", ("num", scale), a)
            verdicts.append(compare(scaled, g, judge))
            if verdicts[-1]:
                return True, _rule(g)
    return (None if None in verdicts else False), _rule(gold.trees[0])


def _choice(answer: Reading, gold: Reading) -> bool | None:
    """For a gold that is a capital letter or begins with one in brackets; else None."""
    wanted = _CHOICE_GOLD.fullmatch(_unwrapped(gold.text))
    if not wanted:
        return None
    found = _CHOICE.fullmatch(_unwrapped(answer.text))
    if not found:
        return None
    return next(filter(None, found.groups())).upper() == next(filter(None, wanted.groups()))


def _unwrapped(text: str) -> str:
    return re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip(" .{}")


def _rule(gold: Tree) -> str:
    kind = settle(gold)[0]
    names = {"list": "list", "set": "set", "tuple": "tuple", "matrix": "matrix", "ratio": "ratio"}
    names |= {"chain": "relation", "assign": "assignment", "union": "interval", "in": "interval"}
    return names.get(kind, "value")
