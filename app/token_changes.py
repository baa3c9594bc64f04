"""What training changed in an answer: token by token, and where two answers first differ."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from app.html import code

FULL = 2.0  # nats at which a colour is at its strongest
RAISED, LOWERED = "22, 163, 74", "220, 38, 38"  # green, red


@dataclasses.dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where two answers first differ. A span is a range of characters of each side's text."""

    place: int  # of the token, from 0
    words: tuple[str, str]
    spans: tuple[tuple[int, int], tuple[int, int]]


def find_first_difference(
    ids: Sequence[Sequence[int]], tokenizers: Sequence[Any]
) -> FirstDifference | None:
    """The first token in which two answers differ; None where one begins with the other."""
    a, b = ids[:2]
    place = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if place is None:
        return None
    sides = [
        _span(side, place, tokenizer)
        for side, tokenizer in zip((a, b), tokenizers[:2], strict=True)
    ]
    return FirstDifference(place, (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))


def _span(ids: Sequence[int], place: int, tokenizer: Any) -> tuple[str, tuple[int, int]]:
    """The text of one token, and which characters of the whole text it makes."""
    before = tokenizer.decode(ids[:place], skip_special_tokens=True)
    until = tokenizer.decode(ids[: place + 1], skip_special_tokens=True)
    word = until[len(before) :] or tokenizer.decode([ids[place]])  # an end token shows no text
    return word, (len(before), len(until))


def first_difference_html(
    found: FirstDifference | None, same: bool, names: Sequence[str], logprobs: Sequence[Any]
) -> str:
    """The first difference: which token each side took, and how likely each found both.

    `logprobs[side]` holds the log-probs of the first and the second side's token there.
    """
    if found is None:
        return "Both answers are the same." if same else "One answer continues the other."
    rows = []
    for name, pair in zip(names, logprobs, strict=True):
        cells = "".join(f"<td>{math.exp(x):.1%}</td>" for x in pair)
        rows.append(f'<tr><th scope="row">{code(name)}</th>{cells}</tr>')
    words = "".join(f'<th scope="col"><code>{code(word)}</code></th>' for word in found.words)
    return (
        f"<p>First difference: token {found.place + 1}, marked in both answers. "
        f'Probability of either token there:</p><table class="pairs"><thead><tr><td></td>{words}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def token_texts(ids: Sequence[int], tokenizer: Any) -> list[str]:
    """The text that each token adds."""
    texts, before = [], ""
    for end in range(1, len(ids) + 1):
        until = tokenizer.decode(ids[:end], skip_special_tokens=True)
        texts.append(until[len(before) :])
        before = until
    return texts


def coloured(texts: Sequence[str], before: Sequence[float], after: Sequence[float]) -> str:
    """Tokens as HTML, green where training raised their log-prob, red where it lowered it."""
    parts = []
    texts = ["".join(texts[:1]).lstrip(), *texts[1:]]
    for text, was, now in zip(texts, before, after, strict=True):
        change = now - was
        shade = min(1.0, abs(change) / FULL) * 0.6
        colour = f"rgba({RAISED if change > 0 else LOWERED}, {shade:.2f})"
        title = f"{math.exp(was):.1%} before, {math.exp(now):.1%} after training"
        parts.append(f'<span style="background: {colour}" title="{title}">{code(text)}</span>')
    return f'<div class="tokens">{"".join(parts)}</div>'
