"""Gold answers as text: what is clear is read, what is not is refused in words."""

import json
import math
import re
from typing import Any

# Golds that say there is none to compare with. Checked against, they pay for nothing or for noise.
SENTINELS = {"proof", "notfound", "not found", "n/a", "na", "nan", "null", "none", "unknown", "tbd"}

_HOLDERS = ("value", "answer", "final_answer", "ground_truth", "target")  # keys that hold a gold
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_BARE = re.compile(r"(?:\\[a-zA-Z]+|\{[^{}]*\}|[^\s$\\{}])+")  # \boxed 2, \boxed\frac{1}{2}
_JOINED = re.compile(  # what stands between the boxes of one list of answers
    r"[\s$.&*\\()]*(?:,|;|\band\b|\bor\b|\\text\s*\{\s*(?:and|or)\s*\})+"
    r"(?:[\s$&*,;]|\\[(),;!]|\band\b|\bor\b|[a-zA-Z]\w{0,3}\s?=)*"
)


def read_gold(value: Any) -> str:
    """The gold as text; raises ValueError saying why a value is none.

    Numbers lose a `.0`; a list or a dictionary that holds one answer is that answer; bytes are
    decoded. Lists of several answers, NaN and other objects are refused.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise ValueError("the gold answer is bytes that are no UTF-8 text") from None
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the gold answer is {value}, which is no answer")
        value = int(value) if value.is_integer() else value
    if isinstance(value, str) and (inner := _json_inside(value)) is not None:
        value = inner
    if isinstance(value, list | tuple):
        return _only(value)
    if isinstance(value, dict):
        return _held(value)
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"the gold answer is a {type(value).__name__}, not text or a number")
    text = "" if value is None else str(value).strip()
    if not text:
        raise ValueError("the gold answer is missing")
    return text


def is_sentinel(gold: str) -> bool:
    """Whether a gold says only that there is no answer to compare with."""
    return gold.strip().casefold() in SENTINELS


def boxed_answer(text: str) -> str | None:
    r"""What the last box of a solution holds, or None; `\boxed{…}`, `\boxed 2` and `\fbox{…}`.

    Boxes joined by commas, "and" or "or" are one list of answers, as the checker reads them.
    """
    parts: list[str] = []
    begin = 0
    for found in reversed(list(_BOX.finditer(text))):
        content, end = _content(text, found.end())
        if not content.strip():
            break
        if not parts:
            parts = [content]
        elif end > begin:  # a box around the later one
            parts[0] = content
        elif _JOINED.fullmatch(text, end, begin):
            parts.insert(0, content)
        else:
            break
        begin = found.start()
    return ", ".join(_BOX.sub("", part).strip() for part in parts) or None


def _content(text: str, begin: int) -> tuple[str, int]:
    """The braced group, or the unbraced run, that a box holds, and where it ends."""
    if not text.startswith("{", begin):
        bare = _BARE.match(text, begin)
        if bare is None:
            return "", begin
        content = bare.group().rstrip(".,;")
        return content, begin + len(content)
    depth, i = 0, begin
    while i < len(text):
        if text[i] == "\\":
            i += 1  # an escaped brace is no brace
        else:
            depth += {"{": 1, "}": -1}.get(text[i], 0)
        i += 1
        if depth == 0:
            return text[begin + 1 : i - 1], i
    return "", len(text)


def _json_inside(text: str) -> Any:
    """The list or dictionary that a text is the JSON of: `["3"]`; None where it is none.

    Lists of bare numbers, such as `[1, 2]`, are mathematics.
    """
    if not text.lstrip().startswith(('["', '[ "', '{"')):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _only(values: Any) -> str:
    golds = list(dict.fromkeys(read_gold(value) for value in values))
    if len(golds) > 1:
        raise ValueError(
            f"the gold answer is a list of {len(golds)} ({', '.join(golds)[:80]}), "
            "which of them counts is not said"
        )
    if not golds:
        raise ValueError("the gold answer is missing (an empty list)")
    return golds[0]


def _held(value: dict[str, Any]) -> str:
    if len(value) == 1 and not isinstance(only := next(iter(value.values())), dict):
        return read_gold(only)
    held = [key for key in _HOLDERS if value.get(key) is not None]
    if len(held) != 1:
        raise ValueError(
            f"the gold answer is an object with {', '.join(map(str, value)) or 'nothing'}; name "
            'the field that holds it, such as fields = { answer = "reward_model.ground_truth" }'
        )
    return read_gold(value[held[0]])
