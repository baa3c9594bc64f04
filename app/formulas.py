"""Model output as something a page may show: text stays text, formulas are rendered.

Output of a model is hostile input. Outside formulas every character that Markdown or HTML could
read as markup is escaped, so no tag, link or image ever comes of it. Formulas are handed to KaTeX
between private characters, so that no dollar sign of the text can begin one: in "costs $5 and $6"
they are money.
"""

import re

_FORMULA = re.compile(
    r"\$\$(?P<display>[^$]{1,2000})\$\$"
    # A dollar sign opens a formula before something that is no space, and closes one after
    # something that is none, with no digit behind it (Pandoc's rule).
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$\n]{0,998}[^\s$\\])?)\$(?![\d$])"
    r"|\\\[(?P<square>.{1,2000}?)\\\]|\\\((?P<round>.{1,1000}?)\\\)"
    r"|(?P<box>\\boxed\{[^{}\n]{0,200}(?:\{[^{}\n]{0,200}\}[^{}\n]{0,200}){0,8}\})",
    re.S,
)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What KaTeX could use to reach outside the formula, or to make it larger than a page.
_REACHING = re.compile(
    r"\\(?:href|url|includegraphics|html\w*|[egx]?def|newcommand|renewcommand|providecommand|let"
    r"|futurelet|rule|kern|mkern|hskip|mskip|hspace|vspace|raisebox|above|genfrac|\\\s*\[|"
    r"Huge|huge|phantom|vphantom|hphantom|smash|char|color|textcolor|colorbox|fcolorbox|style)"
)
_MONEY = re.compile(r"^\d[\d,.]*(?:[^\\=+*/^_{}<>-]*(?<![\\A-Za-z])[A-Za-z]{3,})")
DEEPEST = 12  # braces
OPEN, CLOSE, OPEN_DISPLAY, CLOSE_DISPLAY = "\ue000", "\ue001", "\ue002", "\ue003"
_PRIVATE = re.compile("[\ue000-\ue003]")
DELIMITERS: list[dict[str, str | bool]] = [
    {"left": OPEN_DISPLAY, "right": CLOSE_DISPLAY, "display": True},
    {"left": OPEN, "right": CLOSE, "display": False},
]


def to_markdown(text: str, mark: tuple[int, int] = (0, 0)) -> str:
    """`text` as Markdown that shows its formulas rendered and all else literally.

    The characters `mark[0]` up to `mark[1]` are marked, unless they stand in a formula.
    """
    text = _PRIVATE.sub("\ufffd", text)
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
        parts.append(_shown(found) or plain(found.start(), found.end()))
        end = found.end()
    parts.append(plain(end, len(text)))
    return "".join(parts)


def _shown(found: re.Match[str]) -> str | None:
    """A formula between the delimiters; None for what must stay text."""
    formula = next(group for group in found.groups() if group is not None).strip()
    if not formula or _REACHING.search(formula) or _depth(formula) > DEEPEST:
        return None
    if found["inline"] and _MONEY.match(formula):
        return None
    formula = formula.replace("<", r"\lt ").replace(">", r"\gt ").replace("\n", " ")
    display = found["display"] or found["square"]
    # Markdown goes over it first: what it would read as emphasis or a tag is escaped for it.
    kept = _PUNCTUATION.sub(lambda m: _escape(m[1]), formula)
    return f"{OPEN_DISPLAY}{kept}{CLOSE_DISPLAY}" if display else f"{OPEN}{kept}{CLOSE}"


def _depth(formula: str) -> int:
    deepest = depth = 0
    for character in formula:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return deepest


def _plain(text: str) -> str:
    escaped = _PUNCTUATION.sub(lambda m: _escape(m[1]), text)
    return escaped.replace("\n", "<br>")


def _escape(character: str) -> str:
    """A numeric character reference: never markup, in Markdown or in HTML."""
    return f"&#{ord(character)};"
