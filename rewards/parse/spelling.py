"""Texts in one spelling: each character and LaTeX command as the parser knows it, same value.

Full-width digits, typographic minus signs, `½`, `²`, `√`, `\\dfrac`, `\\left(`, `\\,`, fonts, `\\$`
and their like are rewritten. Every step is linear in the length of the text, and each text is
normalised once, by `rewards.parse.parsed_text`.
"""

import re
from collections.abc import Callable

ROW = "\ue000"  # stands for the `\\\\` that ends a row of a matrix; in no sense a space
DOLLAR = "\ue001"  # stands for the sign of money, where `$` borders formulas
MONEY = f"{DOLLAR}€£¥₹"
CODES = {"USD": DOLLAR, "EUR": "€", "GBP": "£", "RMB": "¥", "CNY": "¥", "INR": "₹", "Rs": "₹"}

_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΦΨΩϕϵ",
        (
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma "
            "tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi "
            "epsilon"
        ).split(),
        strict=True,
    )
)
_CHARACTERS = {letter: f"\\{name} " for letter, name in _GREEK.items()} | {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "π": r"\pi ",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "÷": r"\div ",
    "⁄": "/", "∕": "/", "√": r"\sqrt ", "∛": r"\sqrt[3] ", "∞": r"\infty ", "ℓ": r"\ell ",
    "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}", "°": r"^\circ ", "º": r"^\circ ", "′": "'", "’": "'", "ħ": r"\hbar ",
    "∠": r"\angle ", "△": r"\triangle ", "…": "...", "“": '"', "”": '"', "‘": "'", "¬": r"\neg ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "、": ",", "。": ".", "【": "[", "】": "]",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "或": " or ", "和": " and ", "且": " and ",
    "与": " and ", "∧": " and ", "∨": " or ", "∣": "|", "∶": ":",
    "\u00a0": " ", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "",
    "\u00ad": "", "\u200e": "", "\u200f": "", "\x00": " ", ROW: " ", DOLLAR: " ",
    "¢": r"\text{ cents}", "₤": "£", "→": r"\to ", "⇒": r"\Rightarrow ", "⟹": r"\Rightarrow ",
} | {chr(code): " " for code in range(0x1C, 0x20)}  # fmt: skip
TABLE = str.maketrans(_CHARACTERS)


_ORDINAL = r"(?:st|nd|rd|th)"
_TEXT_ORDINAL = rf"\\text\s*\{{\s*{_ORDINAL}\s*\}}"
_BASES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "sixteen": 16, "binary": 2, "octal": 8, "hexadecimal": 16,
}  # fmt: skip
_SIZES = "left right middle " + " ".join(
    f"{b}{g}{s}" for b in "bB" for g in ("ig", "igg") for s in ("", *"lrm")
)
_SYNONYMS = {  # of commands
    "": f"{_SIZES} displaystyle textstyle scriptstyle limits nolimits large Large LARGE huge Huge"
    " small tiny normalsize nonumber notag mathbf mathit mathsf mathcal mathfrak mathscr mathtt pmb"
    " boldsymbol bm underline uline overrightarrow vec mathop ensuremath mathbin mathord sf tt em"
    " cal num numprint",
    " ": "quad qquad thinspace medspace enspace hfill allowbreak nobreak",
    r"\frac": "dfrac tfrac cfrac", r"\binom": "dbinom tbinom", r"\le": "leq leqslant leqq lte",
    r"\ge": "geq geqslant geqq gte", r"\ne": "neq", r"\log": "lg", r"\emptyset": "varnothing empty",
    r"\mathbb{R}": "R Reals reals", r"\text{and}": "land wedge", r"\text{or}": "lor vee",
    r"\to": "rightarrow longrightarrow Longrightarrow Rightarrow implies", "<": "lt", ">": "gt",
    ":": "colon", "|": "lvert rvert vert mid", "£": "pounds", "€": "euro", ROW: "newline cr",
    "^\\circ ": "degree", "T": "top",
} | {
    rf"\{name}": f"var{name}" for name in "epsilon phi theta rho sigma kappa pi".split()
}  # fmt: skip
_SPELLED_AS = {name: command for command, names in _SYNONYMS.items() for name in names.split()}
_COMMAND = re.compile(r"\\([a-zA-Z]+)(\s*)(\.?)")


def _one_name(found: re.Match[str]) -> str:
    command = _SPELLED_AS.get(found[1])
    if command is None:
        return found[0]
    if not command:
        return "" if found[1] in _SIZES.split() else found[3]
    return f"{command}{found[2]}{found[3]}"


_TEXT_FONTS = (
    "mathrm|textbf|textit|textrm|textsf|texttt|textsc|textnormal|textup|mbox|hbox|emph"
    "|operatorname|bf|rm"
)
_FUNCTION_NAMES = (
    "sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|arcsin|arccos|arctan|ln|log|exp|gcd|lcm|max|min|det|"
    "cis|mod|arcsec|arccsc|arccot|arcsinh|arccosh|arctanh|sgn|Re|Im"
)


def _base(found: re.Match[str]) -> str:
    base = found[2] or found[3] or ""
    return f"_{{{_BASES.get(base, base)}}}"


def _choose(found: re.Match[str]) -> str:
    top, under = (number.strip("{}") for number in found.groups() if number)
    return rf"\binom{{{top}}}{{{under}}}"


def _choose_either(found: re.Match[str]) -> str:
    """C_5^2 is C^5_2 and C^2_5; C_2^5 is a power."""
    first, second = (number.strip("{}") for number in found.group(2, 3))
    is_less = second == "n" or (first != "n" and int(first) < int(second))
    if is_less and found[1] == "_":
        return found[0]
    return rf"\binom{{{second}}}{{{first}}}" if is_less else rf"\binom{{{first}}}{{{second}}}"


def _minutes(found: re.Match[str]) -> str:
    return rf"({found[1]}+{found[2]}/60+{found[3] or 0}/3600)^\circ "


def _chance(found: re.Match[str]) -> str:
    """1 in 4 is a quarter; 12 in 3 is none."""
    return f"{found[1]}/{found[2]}" if int(found[1]) < int(found[2]) else found[0]


def _thousands(found: re.Match[str]) -> str:
    scale = {"M": "million", "B": "billion"}.get(found[2], "thousand")
    return f"{found[1]} {scale}"


UPRIGHT = "NJWVAKLC"  # letters that are units where they stand apart behind a number
_AND, _OR = r"et|und|и", r"ou|oder|или"
# What a text must hold for a rule to be tried, the rule's pattern, and what it puts there instead.
_RULES: list[tuple[str, str, str | Callable[[re.Match[str]], str]]] = [
    ("\\AA", r"\\mathrm\s*\{\s*\\AA\s*\}|\\AA(?![a-zA-Z])", r"\\text{ angstrom}"),
    ("\\!", r",\s?\\!\s?(?=\d{3})", ","),
    ("\\", r"\\[,;:>!\s]", " "),
    ("~", "~", " "),
    ("cancel", r"\\x?cancel\s*\{[^{}]*\}", " "),  # crossed out
    ("\\", r"\\(?:hspace\*?|[hvm]?phantom|tag\*?|label|(?:text)?color(?:box)?)\{[^{}]*\}", " "),
    ("\\not", r"\\not\s*=", r"\\ne "),
    ("\\not", r"\\not\s*\\in(?![a-zA-Z])", r"\\notin"),
    ("\\circ", r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])", r"^\\circ "),
    ("\\", r"\\(?:SI|qty)\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1\\text{\2}"),
    ("min", r"(?<=[\d}])\s*\\(?:text|mathrm)\s*\{\s*min\s*\}", r"\\text{ minutes}"),
    (
        "{", rf"\\(?:operatorname|mathrm|text|rm|textrm)\*?\s*\{{\s*({_FUNCTION_NAMES})\s*\}}",
        r"\\\1 ",
    ),
    ("rm", rf"(?<=[\d}}])\s+\\(?:mathrm|rm)\s*\{{\s*([{UPRIGHT}])\s*\}}\s*$", r"\\text{ \1}"),
    ("\\Omega", r"(?<=[\d}])\s+\\Omega\s*$", r"\\text{ ohm}"),
    ("{", r"\\(?:mathrm|textbf|textit|rm)\s*\{\s*([deiA-Z]|[xyzabcnkpqruvw])\s*\}", r"{\1}"),
    ("\\mathrm", r"\\mathrm\s+([a-zA-Z])(?![a-zA-Z])", r"{\1}"),
    ("{", rf"\\(?:{_TEXT_FONTS})\*?(?=\s*\{{)", r"\\text"),
    ("\\", r"\\(?:rm|bf|it)(?![a-zA-Z])\s*", ""),
    ("\\|", r"\\\|", "|"),
    ("bb{", r"\\mathbb\{R\}\s*(?:\^\{?\+\}?|_\{?(?:>\s*0|\+)\}?)", r"(0,\\infty)"),
    ("bb{", r"\\mathbb\{Z\}\s*(?:\^\{?\+\}?|_\{?(?:>\s*0|\+)\}?)", r"\\mathbb{N}"),
    ("bb", r"\\Bbb\s*\{?([A-Z])\}?|\\mathbb\s+([A-Z])", r"\\mathbb{\1\2}"),
    (
        "", rf"(?<=\d)\s*\^?\s*(?:\{{\s*(?:{_TEXT_ORDINAL}|{_ORDINAL})\s*\}}|{_TEXT_ORDINAL}"
        rf"|{_ORDINAL}\b)", "",
    ),
    ("\\text", rf"_(\{{\s*)?\\text\s*\{{\s*({'|'.join(_BASES)})\s*\}}(?(1)\s*\}})", _base),
    (
        "a", rf"(?<=\d)\s*(\\text\s*\{{\s*)?\(?(?:in\s+)?(?:base[\s-]*({'|'.join(_BASES)}|\d+)"
        r"|(binary|octal|hexadecimal))\b\)?(?(1)\s*\})", _base,
    ),
    ("base", r"(?<=\d)\s*\\text\s*\{\s*\(?(?:in\s+)?base\s*\}()()\s*(\d+)\)?", _base),
    (
        "C", r"(?<![a-zA-Z])(?:C|\{C\})([_^])(\{\d+\}|\d+|n)(?!\1)[_^](\{\d+\}|\d+|n)",
        _choose_either,
    ),
    (
        "C", r"(?:\{\})?[_^](\{\d+\}|\d+)\s?C_(\{\d+\}|\d+)|(?<![a-zA-Z])C\((\d+),\s?(\d+)\)"
        r"|(?<![\w^_{.])(\d+)C(\d+)(?![\w_])", _choose,
    ),
    (
        "", r"^(\d+)\s*,?\s*(?:\\text\s*\{\s*,?\s*)?(?:(?:and|with)\s)?(?:a\s)?"
        r"(?:[rR]|[Rr]em\.?|[Rr]emainder)\s*(?:of|is|=|:)?\s*\}?\s*(\d+)\s*\}?$",
        r"\\text{\1 remainder \2}",
    ),
    ("'", r"(?<!\d)(\d+)\s*\^\\circ\s*(\d+)\s*'(?:\s*(\d+)\s*(?:''|\"))?", _minutes),
    ("const", r"\+\s*(?:\\text\s*\{\s*)?const(?:ant\b|\b\.?)\s*\}?$", "+C"),
    ("_", r"\\text\s*\{([\dA-F]+)\}(?=\)?_)", r"\1"),
    ("_", r"(?<![a-zA-Z])\(([\dA-F]+)\)\s?_(?=\{?\d)", r"\1_"),
    ("", rf"([{MONEY}]\s?[\d.,]+)\s?([kKMB])(?!\w)", _thousands),
    ("h", r"(\d+)\s?h\s?(\d+)\s?m(?:ins?)?(?![a-zA-Z])", r"\1 hours \2 minutes"),
    ("ither", r"^(?:\\text\s*\{\s*[Ee]ither\s*\}|[Ee]ither\s)(?=.*\bor\b)", ""),
    (")", r"(?<=\d)\s+\((-?[\d./]+%?)\)$", r" or \1"),
    (
        ")", r"(?<=[\w}%])\s*(?:\\text\s*\{\s*\(|\(\\text\s*\{)([^(){}]*)(?:\)\s*\}|\}\s*\))$",
        r" (\1)",
    ),
    (")", r"\s*\((?:approx\w*\.?|rounded[^()]{0,40})\)$", ""),
    (
        ")", r"(?:(?<=[\d}%])|(?<=[a-z]{2}))\s+\((?![^()]*\b[a-zA-Z]\b)([a-zA-Z][a-zA-Z.,\s-]+)\)$",
        r"\\text{ \1}",
    ),
    (
        "bb{", r"(?<=\S)\s*(?:,|\\text\s*\{\s*,?\s*(?:where|for|with)?\s*\}|(?=\())\s*"
        r"\(?[knm]\s*\\in\s*\\mathbb\s*\{[ZN]\}\)?$", "",
    ),
    ("per", r"\bper\s+cent\b", "percent"),
    ("matri", r"(\d+)\s*\\times\s*(\d+)\s*\\text\s*\{\s*matri\w+\s*\}", r"\\text{\1 by \2 matrix}"),
    (
        "array", r"\\\{\s*\\begin\{array\}\s*\{[^{}]*\}(.*)\\end\{array\}\s*\.?$",
        r"\\begin{cases}\1\\end{cases}",
    ),
    (
        "", rf"\\text\s*\{{\s*,?\s*(?:{_AND}|\s[ye]\s)\s*\}}"
        rf"|(?<=[\d)}}$])\s+(?:{_AND})\s+(?=[-\d$\\(])", r"\\text{ and }",
    ),
    (
        "", rf"\\text\s*\{{\s*,?\s*(?:{_OR}|\s[ou]\s)\s*\}}"
        rf"|(?<=[\d)}}$])\s+(?:{_OR})\s+(?=[-\d$\\(])", r"\\text{ or }",
    ),
    ("\\text", r"(\\text\s*\{[^{}]*)\^\s*\{\s*(-?\d)\s*\}", r"\1^\2"),
    ("", r"(?<=\d)['_](?=\d{3}(?!\d))", ","),
    ("(", r"(?<=\.)(\d*)\((\d+)\)(?=\D|$)", r"\1\\overline{\2}"),
    ("\\dot", r"(?<=\.)(\d*)\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?", r"\1\\overline{\2\3\4}"),
    ("{,}", r"\{,\}", ","),
    ("**", r"\*\*", "^"),
    ("<=", r"<=", r"\\le "),
    (">=", r">=", r"\\ge "),
    ("!=", r"(?<![\w)}])!=", r"\\ne "),  # not 5!=120
    ("==", r"==", "="),
    ("10", r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\times "),
    ("\\text", r"(?<=\d)\s*\\text\s*\{\s*(out of|to|in|in every)\s*\}\s*(?=\d)", r" \1 "),
    (" out ", r"(?<=\d)\s+out\s+of\s+(?=\d)", "/"),
    ("to", r"(?<=\d)(?:\s+to\s+|-to-)(?=\d+$)", ":"),
    (" in ", r"(?<![\w.,:/-])(\d+)\s+in\s+(?:every\s+)?(\d+)$", _chance),
    ("$", r"\$", " "),
    (
        "", r"(?<=[\w}%)])\s*,?\s\(?(?:(?:or|which\s+is)\s+)?(?:about|approximately|roughly)\s+"
        r"(-?[\d.,]+\s*\\?%?)\s*\)?$", r" \\approx \1",
    ),
    ("\\%", r"\\%", "%"),
    ("\\", r"\\[#&](?=\d)", ""),
    ("\\text", rf"\\text\s*\{{([\s\d.,:/%+(){MONEY}-]*)\}}", r"\1"),
    ("\\text", r"\\text\s*\{([^{}]*)\}\s*\^\s*\{?\s*(-?\d)\s*\}?", r"\\text{\1^\2}"),
    (
        "\\frac", r"\\frac\s*\{\s*\\text\s*\{([^{}]*)\}\s*\}\s*\{\s*\\text\s*\{([^{}]*)\}\s*\}",
        r"\\text{\1/\2}",
    ),
    ("\\text", r"\\text\s*\{([^{}]*[a-zA-Z\d]\s*)\}\s*/\s*\\text\s*\{([^{}]*)\}", r"\\text{\1/\2}"),
    (
        "\\text", r"\\text\s*\{([^{}]*[a-zA-Z\d]\s*)\}\s*(?:\\cdot\s*|\s)\\text\s*\{([^{}]*)\}",
        r"\\text{\1 \2}",
    ),
    ("\\", r"\\[()\[\]]", " "),  # the borders of a formula
]  # fmt: skip
_COMPILED = [(needle, re.compile(pattern), made) for needle, pattern, made in _RULES]


def in_one_spelling(text: str) -> str:
    """`text` with one name for each command and one form for each way of writing."""
    if "\\" in text:
        text = _COMMAND.sub(_one_name, text)
    for needle, pattern, replacement in _COMPILED:
        if needle in text:
            text = pattern.sub(replacement, text)
    return text
