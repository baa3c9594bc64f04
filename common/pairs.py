"""`KEY=VALUE` words of a command line."""

import json
from collections.abc import Sequence
from typing import Any

from common.errors import UserError


def text_pairs(words: Sequence[str], option: str) -> list[tuple[str, str]]:
    """The keys and values of such words, as texts; raises UserError naming the option."""
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not (key.strip() and equals):
            raise UserError(f"{option} takes KEY=VALUE, not '{word}'")
        pairs.append((key.strip(), value))
    return pairs


def values(words: Sequence[str], option: str) -> dict[str, Any]:
    """The words as a dictionary: numbers, true, false, null and what else is JSON by value.

    Raises UserError for a word without `=`, or a key given twice.
    """
    found: dict[str, Any] = {}
    for key, text in text_pairs(words, option):
        if key in found:
            raise UserError(f"{option} gives {key} twice")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found
