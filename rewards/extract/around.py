"""What a box is part of in its formula: a sign, a factor, a root, a relation.

`x > \\boxed{5}` says nothing of 5, `-\\boxed{5}` is -5 and `2\\cdot\\boxed{5}` is 10; but in
`2 \\times \\boxed{5} = 10` the box fills a blank, and what stands around it is the question.
"""

import re
from typing import NamedTuple

from rewards.extract.expressions import FORMULA

_WIDTH = 120  # characters that are looked at on either side, where there are no dollar signs
_END = r"(?![a-zA-Z])"
_PIECE = re.compile(
    r"(?P<skip>\s+|\\(?:text)?color\{[^{}]*\}|\\[hv]space\*?\{[^{}]*\}|\*\*|</?[a-zA-Z|｜][^<>]*>|\([A-J]\))"
    rf"|(?P<equals>=(?![=>])|\\(?:approx|equiv|sim|simeq|cong){_END}|[≈≡])"
    r"|(?P<ratio>(?:(?<=[\d}])|(?<=[\d}]\s)):)"
    r"|(?P<end>\\(?:text|textbf|textit|textrm|mathrm|mbox|operatorname)\s*\{[^{}]*\}"
    rf"|\\(?:begin|end|tag)\{{[^{{}}]*\}}|\\(?:to|q?quad|therefore|iff|implies|[lL]?ong\w*|\w*arrow){_END}"
    r"|\\\\|[-=]+>|[&:;→⇒∴]|\.(?!\d)|[a-zA-Z]{3,})"
    r"|(?P<comma>,(?!\d{3}))"
    rf"|(?P<relation>\\(?:[lg]eq?|[lg]eqslant|[lg]t|neq?|not(?:in)?|in){_END}=?|[<>]=|(?<![\w)}}])!=|[<>≤≥≠∈])"
    r"|(?P<open>(?:\\left\s?)?\\?[{(\[]|\\left\s?[.|])|(?P<close>(?:\\right\s?)?\\?[)}\]]|\\right\s?[.|])"
    r"|(?P<operation>\\(?:[dt]?frac|sqrt|cdot|times|div|pi|[dt]?binom|pm|mp|log|ln|exp|sum|prod|circ|cup|cap|setminus"
    rf"|(?:arc)?(?:sin|cos|tan|cot|sec|csc)){_END}|\\%|[-−+*/^!|√π±∓×·÷²³%°∪∩])"
    r"|\\(?:[a-zA-Z]+|.)|(?P<letter>[a-zA-Z])|(?P<digit>\d)|.",
    re.S,
)
_BARE_BEFORE = re.compile(
    r"(?:\\[a-zA-Z]+\s?|[-−+*/^=<>!≤≥≠∈±∓√×·÷(){}\[\]_.\dπ]|(?<![a-zA-Z'’])[a-zA-Z](?![a-zA-Z'’])|\s)*$"
)
_BARE_BEHIND = re.compile(
    rf"\s?(?:\^|!(?!\w)|\\?%|\\pi{_END}|\\sqrt(?!\[)|\\(?:times|cdot)\s?10\s?\^|\\[dt]?frac|\d|\}}"
    r"|[/+*-]\s?\d|<(?=[-\s\d\\])|[>≤≥≠]|\\(?:[lg]eq?|[lg]t|neq?)(?![a-zA-Z])"
    r"|[a-zA-Zπ√](?![a-zA-Z]|\s*[a-zA-Z]{2}))"
)
_MARKER = re.compile(r"^\s*(?:[-*+>•]|\d+[.)])\s+")  # of a list or a quotation
_DASH = re.compile(r"[-−]\s+$")
_SIGNED = re.compile(r"(?:[=:,(<>]|\b(?:is|are|equals)|\\approx|≈)\s*$", re.IGNORECASE)
_VALUE_BEFORE = re.compile(r"(?:^|[=&,:])\s*-?[\d.,]+\s*=\s*$")
_ENDS_SIDE = re.compile(r"(?<![!<>t])=$")  # not of <=, \not=
_VALUE_BEHIND = re.compile(r"=\s*-?\d")


class _Piece(NamedTuple):
    kind: str
    text: str
    depth: int  # of brackets that open and close on the same side of the box


def with_surroundings(text: str, begin: int, stop: int, inner: str, *, alone: bool) -> str:
    """The answer of a box from `begin` to `stop` that holds `inner`, with what it is part of.

    `alone`: whether it is no part of a list of boxes.
    """
    sides = _formula_around(text, begin, stop)
    before, behind = sides or (_before(text, begin), _behind(text, stop))
    lead = before.rstrip()
    if (not lead or _ENDS_SIDE.search(lead[-3:])) and not behind.strip(" ."):
        return inner
    left = _operand_before(_pieces(before), alone)
    opened = sum(piece.kind == "open" and not piece.depth for piece in left)
    right, ended_by, rest = _operand_behind(_pieces(behind), opened)
    if not sides and ended_by == "end" and rest[:1].isalpha():
        right = []  # 5/6 of them
    if right and right[-1].text == "^":
        right.pop()  # 3^\text{rd}
    started = "".join(piece.text for piece in left)
    side_before = before.removesuffix(started)
    if side_before.rstrip().endswith("=") and _is_relation(right):
        right = []  # x = 5 > 0
    whole = f"{started}{grouped(inner)}{''.join(piece.text for piece in right)}".strip()
    if _is_relation(left + right):
        return whole
    is_blank = _VALUE_BEFORE.search(side_before) or (
        ended_by == "equals" and _VALUE_BEHIND.match(rest)
    )
    return inner if is_blank or not _is_operation(left, right, bare=not sides) else whole


def _formula_around(text: str, begin: int, stop: int) -> tuple[str, str] | None:
    for found in FORMULA.finditer(text, max(0, text.rfind("\n", 0, begin) - 200)):
        start, end = found.span(found.lastindex or 0)
        if start > begin:
            break
        if stop <= end:
            return text[start:begin], text[stop:end]
    return None


def _before(text: str, begin: int) -> str:
    """What could be formula on the line before a box, without the marker of a list or a dash."""
    line = text[max(0, begin - _WIDTH, text.rfind("\n", 0, begin) + 1) : begin]
    words = line.rstrip()
    if not words or words[-1] in ":.,*;$" or (words[-1].isalpha() and "\\" not in words[-12:]):
        return ""
    line = _MARKER.sub("", line)
    found = _BARE_BEFORE.search(line)
    assert found is not None
    words, formula = line[: found.start()], found.group()
    if (dash := _DASH.search(formula)) and not _SIGNED.search(words + formula[: dash.start()]):
        return ""
    return formula


def _behind(text: str, stop: int) -> str:
    if not _BARE_BEHIND.match(text, stop):
        return ""
    return re.split(r"[\n$]", text[stop : stop + _WIDTH], maxsplit=1)[0]


def _pieces(formula: str) -> list[_Piece]:
    """A formula in pieces; brackets without a partner have depth 0."""
    found = [(m.lastgroup or "", m.group()) for m in _PIECE.finditer(formula)]
    depths, opened = [0] * len(found), []
    for at, (kind, _) in enumerate(found):
        if kind == "open":
            opened.append(at)
        elif kind == "close" and opened:
            for inside in range(opened.pop(), at + 1):
                depths[inside] = 1
    return [_Piece(*piece, depth) for piece, depth in zip(found, depths, strict=True)]


def _operand_before(pieces: list[_Piece], alone: bool) -> list[_Piece]:
    """The pieces before a box, from the last sign on that ends a side or an item."""
    opened = [at for at, piece in enumerate(pieces) if piece.kind == "open" and not piece.depth]
    for at in reversed(range(len(pieces))):
        kind = pieces[at].kind
        if pieces[at].depth:
            continue
        in_brackets = alone and bool(opened) and opened[0] < at
        if kind in ("end", "equals") or (kind == "comma" and not in_brackets):
            return pieces[at + 1 :]
        if kind == "open" and not alone:
            return pieces[at + 1 :]
    return pieces


def _operand_behind(pieces: list[_Piece], opened: int) -> tuple[list[_Piece], str, str]:
    """The pieces behind a box up to such a sign, its kind, and what follows the operand."""
    for at, piece in enumerate(pieces):
        if piece.depth:
            continue
        unopened = piece.kind == "close" and not opened
        if piece.kind in ("end", "equals") or unopened or (piece.kind == "comma" and not opened):
            return pieces[:at], piece.kind, "".join(p.text for p in pieces[at:])
        opened -= piece.kind == "close"
    return pieces, "", ""


def _is_relation(pieces: list[_Piece]) -> bool:
    return any(piece.kind == "relation" and not piece.depth for piece in pieces)


def _is_operation(left: list[_Piece], right: list[_Piece], bare: bool) -> bool:
    """Whether something is done with the box; without dollar signs only what is glued to it."""
    if any(piece.kind in ("operation", "ratio", "comma") for piece in left + right):
        return True
    if bare:
        return bool(right) or (bool(left) and left[-1].kind == "digit")
    return any(piece.kind in ("letter", "digit") and not piece.depth for piece in left + right)


def grouped(inner: str) -> str:
    """The content of a box as a factor."""
    if re.fullmatch(r"[\d.,]+|\w", inner) or inner[:1] == "{":
        return inner
    return f"({inner})"
