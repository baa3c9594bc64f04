"""Words beside a value: those that change it, those that multiply it, those that only name it."""

import re
from fractions import Fraction

AND, OR = "and", "or"
SEPARATORS = (AND, OR)
NEGATIVE = ("negative", "minus", "负")
MULTIPLIERS = {
    "dozen": Fraction(12), "score": Fraction(20), "gross": Fraction(144),
    "hundred": Fraction(100), "thousand": Fraction(1000),
    "million": Fraction(10**6), "billion": Fraction(10**9), "trillion": Fraction(10**12),
    "percent": Fraction(1, 100), "tenth": Fraction(1, 10), "hundredth": Fraction(1, 100),
    "thousandth": Fraction(1, 1000), "百": Fraction(100), "千": Fraction(1000),
    "万": Fraction(10**4), "亿": Fraction(10**8),
}  # fmt: skip
MULTIPLIERS |= {f"{name}s": factor for name, factor in list(MULTIPLIERS.items())}
del MULTIPLIERS["scores"]  # of a test
_PARTS = "halves thirds fourths fifths sixths sevenths eighths ninths".split()
MULTIPLIERS |= {name: Fraction(1, under) for under, name in enumerate(_PARTS, start=2)}
MULTIPLIERS |= {"half": Fraction(1, 2), "third": Fraction(1, 3), "fourth": Fraction(1, 4)}

_BEFORE = re.compile(
    r"\b(?:not|no|never|neither|nor|none|without|except|excluding|minus|negative|less|fewer|under"
    r"|below|above|over|more|greater|larger|smaller|bigger|exceeds?|exceeding|than|at most|at least"
    r"|up to|between|beyond|twice|double|triple|thrice|quadruple|doubled|tripled|halved"
    r"|half|quarter|quarters|thirds?"
    r"|(?:fourths?|fifths?|sixths?|tenths?|square|cube|root|reciprocal|inverse|opposite|multiples?"
    r"|powers?|logarithm|log|factorial|sum|product|difference|quotient|percent|hundred|thousand"
    r"|million|dozen|times) of|square root|cube root|squared|cannot|\w+n't|false|wrong|incorrect"
    r"|unless|if|when|either|but|different from|other than|unequal|undefined|impossible|maximum of"
    r"|print|return|plus|divided|a couple|nearly|almost|times$)\b"
    r"|不|非|小于|大于|少于|多于|超过|至少|至多|最多|最少|倍",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\b(?:not|squared|cubed|factorial|below zero|under zero|below|minus|plus|divided|than|if"
    r"|unless|when|except|wrong|incorrect|false|extraneous|rejected|invalid"
    r"|to the|(?:raised|power|half|quarter|third)s?"
    r"|remainder|is (?:not|wrong|incorrect|false)|or (?:more|less|fewer|greater))\b"
    r"|不|以上|以下|倍",
    re.IGNORECASE,
)
_LINK = r"(?:\s+(?:be|equal to|equal|exactly|of|the|a|simply|just|really|actually|to|definitely))*"
_HERE = r"\s*[\s$\\(\[*:{]*$"
_NEGATION = re.compile(
    rf"(?:\b(?:not|never|nor|neither|cannot|\w+n't|no longer|(?:could|might|may) (?:also|be)"
    rf"|instead of|(?:any|every)thing but|rather than|other than|different from){_LINK}"
    rf"|不是|不等于|并非|\\neq?){_HERE}"
    r"|(?<!in )return\s$",
    re.IGNORECASE,
)
_FALSEHOOD = re.compile(
    r"\b(?:not (?:the case|true|correct)|false|incorrect|wrong) (?:that|to say)\b[^.\n]*$",
    re.IGNORECASE,
)
_FROM_ANOTHER = r"(?:down|up)\sfrom|compared\s(?:with|to)|versus"
_COMPARISON = re.compile(
    rf"(?:\b(?:(?:less|more|fewer|greater|larger|smaller|bigger|higher|lower) than|twice|half"
    rf"|double|triple|thrice|minus|out of|past|{_FROM_ANOTHER}"
    r"|we\s(?:[a-z]+\s){0,2}(?:add|subtract|multiply|divide)(?:\s(?:it|this|that))?(?:\sby)?"
    r"|(?<!when )(?<!is )divided by"
    rf"|(?:square|cube|root|reciprocal|inverse|opposite|factorial"
    rf"|logarithm|multiples?) of){_LINK}|小于|大于){_HERE}"
    r"|\d\s(?:with\sa\s)?remainder\s(?:of\s)?$"
    r"|\b(?:of|twice|half|double|triple|times|plus|minus)\s+[a-zA-Z]\s?(?:squared|cubed)?\s?=\s?$",
    re.IGNORECASE,
)
_TO_A_FORMULA = r"\s?(?:[\s$\\(\[]|[a-zA-Z]\s?[=<>])*$"
_CONDITION = re.compile(  # of a value that was said before it
    r"\d(?:[^.;\n]|\.\d)*(?:\b(?:(?:at|when|where|if)\s\$?[a-zA-Z]\s?=|when\s(?:it\sis\s)?divided\sby"
    rf"|every|since|because|given(?:\sthat)?|assuming(?:\sthat)?)|%\sof\s|\b(?:{_FROM_ANOTHER})"
    r"|[,(]\s?an?\s(?!total|sum|grand|combined)[a-z]+\sof|\d\sof\s(?:the|his|her|their|its|all|those))"
    rf"{_TO_A_FORMULA}",
    re.IGNORECASE,
)
_REJECTION = re.compile(
    r"\b(?:reject|discard|ignor|exclud|disregard|eliminat)\w*(?:\sthe)?(?:\s[a-z]+)?"
    + _TO_A_FORMULA,
    re.IGNORECASE,
)
_ROUNDED = re.compile(  # 1/6, or about 16.7%
    r"[\d}$][^\s\d]{0,9},?\s\(?(?:(?:or|which\sis)\s)?(?:about|approximately|roughly)\s"
    + _TO_A_FORMULA
)
_REJECTED = re.compile(
    r"\s?of\s\$?\d|[\s$)\\\]]*(?:fails\b"
    r"|does(?:\snot|n't)(?:\s(?:work|satisfy|fit|check|hold)\b|[.,;\n])"
    r"|(?:is|are|was|must be)\s(?:then\s)?(?:rejected|extraneous|invalid|discarded|excluded"
    r"|impossible|not (?:valid|possible|allowed|in the domain)))",
    re.IGNORECASE,
)


def change_value_before(words: str) -> bool:
    """Whether words in front of a value make it another: "not", "less than", "twice"."""
    return bool(_BEFORE.search(words))


def change_value_after(words: str) -> bool:
    """Whether words behind a value make it another: "squared", "or more"."""
    return bool(_AFTER.search(words))


def is_denied(before: str) -> bool:
    """Whether the text that leads to an answer says that this is not the answer."""
    return bool(_NEGATION.search(before[-60:]) or _FALSEHOOD.search(before[-60:]))


def is_compared(before: str) -> bool:
    """Whether the text that leads to a number only compares with it: "less than", "twice"."""
    return bool(_COMPARISON.search(before[-60:]))


def is_set_aside(before: str, behind: str) -> bool:
    """Whether the text around a value says that it is a reason, a condition or a rejected one."""
    before = before[-60:]
    aside = any(pattern.search(before) for pattern in (_CONDITION, _REJECTION, _ROUNDED))
    return aside or bool(_REJECTED.match(behind[:40]))


def multiplier(word: str) -> Fraction | None:
    """The factor that a word behind a number is: "million", "dozen", "percent"."""
    return MULTIPLIERS.get(word.casefold()) or MULTIPLIERS.get(
        word[:1] if word[:1] > "\u3000" else ""
    )
