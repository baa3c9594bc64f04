"""Small pieces of HTML; whatever comes from a file or a model is escaped in every one of them."""

import html
import math
from collections.abc import Sequence
from typing import Any

from scipy import stats

PAPER = "—"


def code(text: Any) -> str:
    """`text` as HTML that shows it literally."""
    return html.escape(str(text))


def badge(reward: int | None) -> str:
    """Whether an answer is right; None says that there is nothing to check it against."""
    if reward is None:
        return '<span class="badge none">not checked</span>'
    return f'<span class="badge {"right" if reward else "wrong"}">{mark(reward)}</span>'


def mark(reward: float) -> str:
    """Right or wrong, in a sign and a word."""
    return "✓ right" if reward else "✗ wrong"


def percent(rate: float) -> str:
    """A share between 0 and 1."""
    return PAPER if math.isnan(rate) else f"{rate:.0%}" if rate in (0, 1) else f"{rate:.1%}"


def note(*paragraphs: str) -> str:
    """A message in the page: HTML paragraphs."""
    return f'<div class="note">{"".join(f"<p>{one}</p>" for one in paragraphs)}</div>'


def bars(rows: Sequence[tuple[str, int, str]], total: int) -> str:
    """Counts as a table with bars: (label as HTML, count, CSS class of the bar)."""
    body = "".join(
        f'<tr><th scope="row">{label}</th><td class="count">{count}</td>'
        f'<td class="track"><span class="bar {kind}" style="width:{100 * count / total:.1f}%">'
        "</span></td></tr>"
        for label, count, kind in rows
    )
    return f'<table class="bars"><tbody>{body}</tbody></table>'


def figures(numbers: Sequence[tuple[str, str, str]]) -> str:
    """Large numbers side by side: (what it is, the number, a line below it), each escaped."""
    cells = "".join(
        f'<div class="figure"><div class="name">{code(name)}</div>'
        f'<div class="number">{code(value)}</div><div class="below">{code(below)}</div></div>'
        for name, value, below in numbers
    )
    return f'<div class="figures">{cells}</div>'


def exact_interval(right: int, n: int) -> tuple[float, float]:
    """The 95% interval of Clopper and Pearson (1934) for a share of `right` out of `n`."""
    found = stats.binomtest(right, n).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)
