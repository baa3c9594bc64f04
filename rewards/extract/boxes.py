"""The last `\\boxed{…}` of a text, with the boxes that are joined to it and what is glued to it."""

import re

from rewards.extract.around import with_surroundings
from rewards.parse.modifiers import is_compared, is_denied, multiplier
from rewards.parse.units import unit_behind

MAX_BOXES = 50  # that are joined to one list

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s{0,20}")
_BRACE = re.compile(r"\\.|[{}]", re.S)  # an escaped brace is no brace
_JOINED = re.compile(
    r"(?:[\s$.&*()~]|\\[(),;!: \\]|\\q?quad(?![a-zA-Z])){0,30}"
    r"(?:,|;|\band\b|\bor\b|\\(?:text|mathrm|mbox)\{\s*,?\s*(?:and|or)\s*\}|和|或|、)+"
    r"(?:[\s$&*,;~]|\\[(),;!: \\]|\\q?quad(?![a-zA-Z])|\band\b|\bor\b"
    r"|\\(?:text|mathrm|mbox)\{\s*(?:and|or)\s*\}|[a-zA-Z]\w{0,3}\s?=){0,30}"
    r"(?:[-−]\s?|\\pm\s?|\d*\\sqrt\s?)?"
)
_ONE_TOKEN = re.compile(r"-?\d+(?:\.\d+)?|\w+")
_COMMAND = re.compile(r"-?\\(?P<name>[a-zA-Z]+)\s?(?:\[[^\[\]]{0,20}\])?")
_TWO_ARGUMENTS = ("frac", "dfrac", "tfrac", "cfrac", "binom", "dbinom", "tbinom")
_EMPTY = re.compile(r"(?:\s|\\text\s*\{\s*\}|\\[,;!: ]|\$|~|\{\s*\})*")
_DENIED_BEHIND = re.compile(
    r"[\s$.*)\]\\]{0,6}(?:\\text\{\s*)?(?:is|was|were|are|would be|cannot be|can't be)\s"
    r"(?:clearly\s|also\s)?(?:not\b(?! only)|wrong|incorrect|false)"
)
_UNIT_BEHIND = re.compile(
    r"(?:\s|~|\\[,;: ]|\$){0,4}(?:(?P<scale>(?:dozen|hundred|thousand|million|billion|trillion)\b)"
    r"|\\(?:text|mathrm)\s?\{\s*(?P<unit>[a-zA-Z./^ -]{1,30}?)\s*\}(?P<power>\^\{?\d\}?)?)"
)


def last(text: str) -> tuple[str, ...] | None:
    """The last box, with those joined to it; None if there is no box, () if it is no answer."""
    starts = [(m.start(), m.end()) for m in _BOX.finditer(text)]
    if not starts:
        return None
    while len(starts) > 1 and is_denied(_lead(text, starts[-1][0])):
        starts.pop()  # 5, not 6
    found: list[tuple[int, int, str]] = []  # where each begins and ends, and what it holds
    for start, at in reversed(starts[-MAX_BOXES:]):
        content, end = braced(text, at)
        if not found or end > found[0][0]:  # a box around the later box
            found[:1] = [(start, max(end, found[0][1]) if found else end, content)]
        elif _JOINED.fullmatch(text, end, found[0][0]):
            found.insert(0, (start, end, content))
        else:
            break
    found = [(start, end, _BOX.sub("", content).strip()) for start, end, content in found]
    before = _lead(text, found[0][0])
    if is_denied(before) or is_compared(before) or _DENIED_BEHIND.match(text, found[-1][1]):
        return ()
    if any(_EMPTY.fullmatch(content) for _, _, content in found):
        return ()
    return tuple(_with_unit(text, *box, alone=len(found) == 1) for box in found)


def _lead(text: str, begin: int) -> str:
    """The words that lead to a box; an unequal sign is part of its formula."""
    lead = text[max(0, begin - 60) : begin]
    return re.sub(r"\\neq?\s*$", "", lead) if "\\ne" in lead else lead


def _with_unit(text: str, begin: int, end: int, inner: str, *, alone: bool) -> str:
    """What a box says, with the unit or multiplier that stands behind it."""
    answer = _BOX.sub("", with_surroundings(text, begin, end, inner, alone=alone))
    unit = _UNIT_BEHIND.match(text, end)
    name = unit and (unit["scale"] or unit["unit"])
    if unit and name and (multiplier(name) or unit_behind(name, 0)):
        answer += rf"\text{{ {name}}}{unit['power'] or ''}"
    return answer


def braced(text: str, begin: int) -> tuple[str, int]:
    """The braced group (or single token, or command) at `begin`, and where it ends."""
    if command := _COMMAND.match(text, begin):
        end = command.end()
        for _ in range(2 if command["name"] in _TWO_ARGUMENTS else 1):
            if text.startswith("{", end):
                end = braced(text, end)[1]
            elif text[end : end + 1].isalnum() and not text[end - 1].isspace():
                end += 1
        return text[begin:end].strip(), end
    if not text.startswith("{", begin):
        word = _ONE_TOKEN.match(text, begin)
        return (word.group(), word.end()) if word else ("", begin)
    depth = 0
    for brace in _BRACE.finditer(text, begin):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return text[begin + 1 : brace.start()], brace.end()
    return "", len(text)  # never closed: cut off in mid-answer
