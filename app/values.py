"""What comes from a browser, made sure of: each function raises UserError for anything else.

The page's own limits bind only those who use the page; whoever calls its functions directly can
send any JSON, so every function checks its values by these.
"""

import math
import re
from typing import Any

from common.errors import UserError

MAX_QUESTION = 4_000  # characters
MAX_GOLD = 500
MAX_COMPLETION = 20_000
MAX_LABEL = 300
MAX_SEED = 2**31 - 1
MAX_STEP = 10**9
MAX_CHOICES = 4
# Unpaired surrogates cannot be written as UTF-8; NUL ends strings in C.
_UNWRITABLE = re.compile("[\ud800-\udfff\0]")


def text(value: Any, name: str, most: int) -> str:
    """A text of at most `most` characters; None counts as empty."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        raise UserError(f"{name} must be text of at most {most:,} characters")
    return _UNWRITABLE.sub("\ufffd", value)


def whole(value: Any, name: str, low: int, high: int) -> int:
    """A whole number within bounds."""
    found = number(value, name, low, high)
    if not found.is_integer():
        raise UserError(f"{name} must be a whole number between {low} and {high}")
    return int(found)


def number(value: Any, name: str, low: float, high: float) -> float:
    """A number within bounds."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or not math.isfinite(value):
        raise UserError(f"{name} must be a number between {low:g} and {high:g}")
    return float(value)


def labels(value: Any, name: str, most: int = MAX_CHOICES) -> list[str]:
    """A list of names, the empty ones left out."""
    if not isinstance(value, list | tuple):
        raise UserError(f"{name} must be a list of names")
    found = [text(one, name, MAX_LABEL) for one in value]
    found = [one for one in found if one]
    if len(found) > most:
        raise UserError(f"{name}: at most {most} at once")
    return found


def one_of(value: Any, name: str, known: Any) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in known:
        raise UserError(f"{name} must be one of: {', '.join(known)}")
    return value
