"""Model output as something a page may show: text stays text, formulas are rendered.

Output of a model is hostile input. Outside formulas every character that Markdown or HTML could
read as markup is escaped, so no tag, link or image ever comes of it.
"""

import html
import re
from collections import Counter
from collections.abc import Sequence

_FORMULA = re.compile(
    r"\$\$(?P<display>[^$]{1,2000})\$\$|\$(?P<inline>[^$\n]{1,1000})\$"
    r"|\\\[(?P<square>.{1,2000}?)\\\]|\\\((?P<round>.{1,1000}?)\\\)"
    r"|(?P<box>\\boxed\{[^{}\n]{0,200}(?:\{[^{}\n]{0,200}\}[^{}\n]{0,200}){0,8}\})",
    re.S,
)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What KaTeX could use to reach outside the formula; it refuses these too, unless trusted.
_REACHING = re.compile(r"\\(?:href|url|includegraphics|html\w*|def|gdef|newcommand|let)\b")

DELIMITERS: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


def to_markdown(text: str, mark: tuple[int, int] = (0, 0)) -> str:
    """`text` as Markdown that shows its formulas rendered and all else literally.

    The characters `mark[0]` up to `mark[1]` are marked, unless they stand in a formula.
    """
    parts: list[str] = []
    end = 0

    def plain(begin: int, stop: int) -> str:
        low, high = max(begin, mark[0]), min(stop, mark[1])
        if low >= high:
            return _plain(text[begin:stop])
        marked = _plain(text[low:high])
        return f"{_plain(text[begin:low])}<mark>{marked}</mark>{_plain(text[high:stop])}"

    for found in _FORMULA.finditer(text):
        parts.append(plain(end, found.start()))
        formula = next(group for group in found.groups() if group is not None).strip()
        if _REACHING.search(formula) or not formula:
            parts.append(_plain(found.group()))
        else:
            sign = "$$" if found["display"] or found["square"] else "$"
            parts.append(f"{sign}{_formula(formula)}{sign}")
        end = found.end()
    parts.append(plain(end, len(text)))
    return "".join(parts)


def _plain(text: str) -> str:
    escaped = _PUNCTUATION.sub(lambda m: _escape(m[1]), text)
    return escaped.replace("\n", "<br>")


def _escape(character: str) -> str:
    """A numeric character reference: never markup, in Markdown or in HTML."""
    return f"&#{ord(character)};"


def _formula(formula: str) -> str:
    return formula.replace("<", r"\lt ").replace(">", r"\gt ").replace("\n", " ")


def badge(reward: int | None, extracted: str | None, reason: str) -> str:
    """The verdict as a small piece of HTML; `reward` None says there is no gold to check."""
    if reward is None:
        return '<span class="badge none">no reference answer given</span>'
    kind, word = ("right", "✓ right") if reward else ("wrong", "✗ wrong")
    answer = html.escape(extracted) if extracted is not None else "none"
    return (
        f'<span class="badge {kind}">{word}</span> '
        f'<span class="why">answer: <b>{answer[:200]}</b> ({html.escape(reason)})</span>'
    )


def code(text: str) -> str:
    """`text` as HTML that shows it literally."""
    return html.escape(text)


def votes(
    answers: Sequence[str | None], kinds: Sequence[int | None], rewards: Sequence[int] | None
) -> str:
    """How many samples gave each answer, equal ones together, as an HTML table with bars."""
    counted = Counter(kinds).most_common()
    rows = []
    for kind, count in counted:
        first = kinds.index(kind)
        answer = code(str(answers[first])[:80]) if kind is not None else "<i>no answer</i>"
        mark = "" if rewards is None else "&nbsp;✓" if rewards[first] else "&nbsp;✗"
        bar = "█" * max(1, round(20 * count / len(answers)))
        rows.append(f"<tr><td>{answer}{mark}</td><td>{count}</td><td>{bar}</td></tr>")
    rate = ""
    if rewards is not None:
        right = sum(rewards)
        rate = f"<p><b>{right} of {len(rewards)} right ({right / len(rewards):.0%})</b></p>"
    return f'{rate}<table class="votes">{"".join(rows)}</table>'
