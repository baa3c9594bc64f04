"""Texts in one spelling: each character and LaTeX command as the parser knows it, same value.

Full-width digits, typographic minus signs, `½`, `²`, `√`, `\\dfrac`, `\\left(`, `\\,`, fonts, `\\$`
and their like are rewritten. Every step is linear in the length of the text, and each text is
normalised once, by `rewards.parse.parsed_text`.
"""

import re
import unicodedata

from rewards.parse.number_words import in_digits
from rewards.parse.spelling import CODES, DOLLAR, ROW, TABLE, in_one_spelling

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+(?:(?<=[^\W\d_][²³])(?!\w)|())")  # cm², not 2¹⁰
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_VULGAR = re.compile("[¼½¾⅐-⅞↉]")
_SIMPLE = re.compile(r"[\w\s.,/+^-]*", re.ASCII)
_NOT_SIMPLE = re.compile(
    r"\d\s*(?:(?:st|nd|rd|th|to|in|base|out|per|et|und|ou|oder)\b|[xX]\s*10|C\d|[Rr]|with|_\d{3}|-to-|\s?h\s?\d)|^[Ee]ither\s|C[_^]|\d\s+\("
)


def plain_characters(text: str) -> str:
    """`text` in ASCII as far as it has a meaning there: digits, signs and punctuation."""
    if text.isascii() and not _CONTROL.search(text):
        return text
    text = _SUBSCRIPT.sub(lambda m: "_{" + m[0].translate(_SUBSCRIPTS) + "}", plain_digits(text))
    text = text.translate(TABLE)
    return unicodedata.normalize("NFKC", text).translate(TABLE)


_CONTROL = re.compile(r"[\x00\x1c-\x1f]")
_ROW_END = re.compile(r"\\\\(?:\s*\[[^\[\]\n]{1,12}(?:pt|em|ex|cm|mm)\])?")


def normalize(text: str) -> str:
    """`text` with one spelling of each character and command, ready for the tokens."""
    text = plain_characters(text)
    if "\\\\" in text:
        text = _rows(text)
    if "$" in text or text[:1] in "UEGRCI":
        text = _with_money(text)
    if "math" in text or "hat" in text or "bm" in text or "vec" in text or "bold" in text:
        text = _with_basis_vectors(text)
    if text.startswith("**") and text.endswith("**"):
        text = text.strip("*")
    if not _SIMPLE.fullmatch(text) or _NOT_SIMPLE.search(text):
        text = in_one_spelling(text)
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"`":
        text = text[1:-1]
    text = text.lstrip(": ")
    while text.endswith((".", ";", ",", ":", "=")) and not text.endswith("..."):
        text = text[:-1].rstrip()
    return in_digits(text) if text[:1].isalpha() or text.startswith("\\text") else text


def _with_money(text: str) -> str:
    """`\\$` as the sign of money; also `$`, where none of the text can border a formula."""
    text = _CODE.sub(lambda m: CODES.get(m[1], ""), text)
    bare = _BARE_DOLLAR.findall(text)
    if bare and all(bare):
        text = _BARE_DOLLAR.sub(lambda m: DOLLAR + m[1], text)
    return text.replace("\\$", DOLLAR)


_CODE = re.compile(
    rf"^({'|'.join(CODES)})\.?\s?(?=-?[\d.])|\b(?:{'|'.join(CODES)}|US|HK)\s?(?=\\?\$\s?\d)"
)
_BARE_DOLLAR = re.compile(r"(?<!\\)\$(\s?[\d.]?)")
_VECTOR_FONT = r"\\(?:hat|widehat|vec|mathbf|boldsymbol|bm|pmb|mathrm|textbf)"
_BASIS = re.compile(
    rf"{_VECTOR_FONT}\s*(?:\{{\s*{_VECTOR_FONT}\s*(?:\{{\s*\\?([ijk])(?:math)?\s*\}}|\s\\?([ijk])(?:math)?)\s*\}}"
    rf"|\{{\s*\\?([ijk])(?:math)?\s*\}}|\\([ij])math(?![a-zA-Z])|\s([ijk])(?![a-zA-Z]))"
)


def _with_basis_vectors(text: str) -> str:
    """The unit vectors i, j, k in one font, where they are not the imaginary unit."""
    fonts = list(_BASIS.finditer(text))
    if all(m[m.lastindex or 0] == "i" and "hat" not in m[0] and "vec" not in m[0] for m in fonts):
        return text
    return _BASIS.sub(lambda m: rf"\hat{{{m[m.lastindex or 0]}}}", text)


def _rows(text: str) -> str:
    """`\\\\` as the end of a row, or as a backslash that was escaped once too often."""
    if "\\\\begin" in text:
        text = text.replace("\\\\", "\\")
    if "\\begin" in text:
        return _ROW_END.sub(ROW, text)
    return re.sub(r"\\\\(?![a-zA-Z({\[\\$%,!;])", ",", text).replace("\\\\", "\\")


def as_words(normal: str) -> str:
    """A normalised text as words are compared: no `\\text`, spaces, braces or case."""
    if normal.startswith("\\text"):
        normal = re.sub(r"(?<=[a-zA-Z])-(?=[a-zA-Z])", "", normal)
    normal = re.sub(r"\\text\s*", "", normal)
    normal = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", normal)
    normal = re.sub(r"(?<!\w)'|'(?!\w)(?<=[a-zA-Z]')|\.(?!\d)", "", normal)
    return re.sub(r"[{}\"]|\\?\$", "", normal).casefold()


def without_spaces(normal: str) -> str:
    """A normalised text without the spaces that part nothing; case kept."""
    normal = re.sub(r"(?<![\w])\s+|\s+(?![\w])", "", normal)
    return re.sub(r"\{(\w)\}", r"\1", normal)


def plain_digits(text: str) -> str:
    """Digits and signs of full width, raised or in `½` as ASCII, other characters as they are."""
    if text.isascii():
        return text
    text = _VULGAR.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]).replace("⁄", "/"), text)
    text = _SUPERSCRIPT.sub(lambda m: ("^{%s}" if m[1] else "^%s") % m[0].translate(_RAISED), text)
    return re.sub(r"(?<!\S)–(?=\d)", "-", text).translate(_FULL_WIDTH)


_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x2212: "-", 0x2019: "'"}
