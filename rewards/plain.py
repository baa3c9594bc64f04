"""Texts made plain: one spelling of each character and LaTeX command, the value untouched.

Full-width digits, typographic minus signs, `½`, `²`, `√`, `\\dfrac`, `\\left(`, `\\,`, `\\$` and
their like all become what the parser knows. Every step is linear in the length of the text.
"""

import re
import unicodedata

_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "÷": r"\div ",
    "⁄": "/", "∕": "/", "√": r"\sqrt ", "∛": r"\sqrt[3] ", "π": r"\pi ", "∞": r"\infty ",
    "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "°": r"^\circ ", "º": r"^\circ ", "′": "'", "’": "'",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ",
    "μ": r"\mu ", "φ": r"\phi ", "ω": r"\omega ", "…": "...", "“": '"', "”": '"', "‘": "'",
    "⟨": r"\langle ", "⟩": r"\rangle ", "、": ",", "。": ".", "【": "[", "】": "]",
    "\u00a0": " ", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "",
    "\u00ad": "", "\u200e": "", "\u200f": "", "\x00": " ",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_VULGAR = re.compile("[¼½¾⅐-⅞↉]")
_TABLE = str.maketrans(_CHARACTERS)

ROW = "\x1e"  # stands for the `\\\\` that ends a row of a matrix

_WORD = r"(?![a-zA-Z])"
_ORDINAL = r"(?:st|nd|rd|th)"
_FONTS = (
    "mathrm|mathbf|mathit|mathsf|textbf|textit|textrm|textsf|mbox|hbox|boldsymbol|bf|emph"
    "|underline|operatorname"
)
_RULES = [
    (rf"\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|limits){_WORD}\.?", ""),
    (r"\\!", ""),
    (rf"\\(?:[,;:>]|(?:quad|qquad|thinspace|enspace|hfill|allowbreak|nobreak){_WORD})", " "),
    (r"\\hspace\*?\{[^{}]*\}|\\[hvm]?phantom\{[^{}]*\}", " "),
    (r"\\\s|~", " "),
    (rf"\\[dtc]frac{_WORD}", r"\\frac"),
    (rf"\\[dt]binom{_WORD}", r"\\binom"),
    (rf"\\(?:leq|leqslant|lte){_WORD}", r"\\le"),
    (rf"\\(?:geq|geqslant|gte){_WORD}", r"\\ge"),
    (rf"\\neq{_WORD}|\\not\s*=", r"\\ne"),
    (rf"\\lt{_WORD}", "<"),
    (rf"\\gt{_WORD}", ">"),
    (rf"\^\s*\{{\s*\\(?:circ|degree)\s*\}}|\^\s*\\circ{_WORD}|\\degree{_WORD}", r"^\\circ "),
    (rf"\\(?:{_FONTS})\*?(?=\s*\{{)", r"\\text"),
    (rf"\\(?:rm|bf|it){_WORD}\s*", ""),
    (rf"\\(?:lvert|rvert|vert|mid){_WORD}", "|"),
    (rf"\\(?:varnothing|empty){_WORD}", r"\\emptyset"),
    (rf"\\(?:Reals|R|reals){_WORD}|\\Bbb\s*\{{?R\}}?|\\mathbb\s+R", r"\\mathbb{R}"),
    (rf"\\(?:bmod|pmod){_WORD}", r"\\mod"),
    (rf"\\(?:land|wedge){_WORD}", r"\\text{and}"),
    (rf"\\(?:lor|vee){_WORD}", r"\\text{or}"),
    (
        rf"(?<=\d)\s*\^?\s*\{{?\s*(?:\\text\s*\{{\s*{_ORDINAL}\s*\}}|{_ORDINAL}\b)\s*\}}?",
        "",
    ),
    (r"\{,\}", ","),
    (r"\*\*", "^"),
    (r"<=", r"\\le "),
    (r">=", r"\\ge "),
    (r"!=", r"\\ne "),
    (rf"\\?\$|[€£¥]|\\dollar{_WORD}|\\pounds{_WORD}", " "),
    (r"\\%", "%"),
    (r"\\text\s*\{([\s\d.,/%+()-]*)\}", r"\1"),
    (r"\\text\s*\{([^{}\\]*(?:,|\b(?:and|or)\b)[^{}\\]*)\}", r"\1"),
    (r"\\[()\[\]]", " "),  # the borders of a formula
]
_COMMANDS = [(re.compile(pattern), replacement) for pattern, replacement in _RULES]


def plain_characters(text: str) -> str:
    """`text` in ASCII as far as it has a meaning there: digits, signs and punctuation."""
    if text.isascii() and "\x00" not in text:
        return text
    text = _VULGAR.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]), text)
    text = _SUPERSCRIPT.sub(lambda m: "^{" + m[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT.sub(lambda m: "_{" + m[0].translate(_SUBSCRIPTS) + "}", text)
    text = text.translate(_TABLE)
    return unicodedata.normalize("NFKC", text).translate(_TABLE)


def plain(text: str) -> str:
    """`text` with one spelling of each character and command, ready for the parser."""
    text = plain_characters(text)
    if "\\\\" in text:  # a new row, or a backslash that was escaped once too often
        text = text.replace("\\\\", ROW if "\\begin" in text else "\\")
    if not _SIMPLE.fullmatch(text):
        for pattern, replacement in _COMMANDS:
            text = pattern.sub(replacement, text)
    text = text.strip()
    while text.endswith((".", ";", ",")) and not text.endswith("..."):
        text = text[:-1].rstrip()
    return text


_SIMPLE = re.compile(r"[\w\s.,()/+^-]*", re.ASCII)


def words_of(text: str) -> str:
    """`text` as words are compared: no `\\text`, no spaces, braces or dollars, no case."""
    text = plain(text)
    text = re.sub(r"\\text\s*", "", text)
    text = re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)
    return re.sub(r"[{}\"'.]|\\?\$", "", text).casefold()
