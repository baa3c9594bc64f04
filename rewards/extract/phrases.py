"""What a completion says after "the answer is" and its like."""

import re

from rewards.extract.expressions import FORMULA, inside

_PHRASE = re.compile(
    r"\bfinal\s{1,3}answers?\b(?:\s{0,3}[:：=]|\s{0,3}\n)?(?:\s{0,3}(?:is|are|was)\b\s{0,3}:?)?"
    r"|\b(?:(?:actually|no|wait|sorry|correction)[,:.]?\s(?:it|that|this)(?=\sshould)"
    r"|answers?|(?:correct|right|best)\s(?:option|choice|answer|letter))\b[\"']?"
    r"(?:\s+(?:to|for)\s+[^.:\n]{1,80}?)?\s{0,3}"
    r"(?:(?:is|are|was|equals|(?:would|should|must|will|could|might|may) be)\b(?:\s{0,3}[:：])?"
    r"|[=:：])"
    r"|答案(?:\s?(?:是|为|為|等于))?\s?[：:]?",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"\b(?:[Cc]hoose|[Ss]elect|[Pp]ick|go with)\s(?:the\s)?(?:option|choice|answer)?"
    r"\s?\(?([A-J])\)?(?![\w'])"
    r"|(?:\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s?|(?<![\w(]))\(?([A-J])\)?\s(?:is|must be)\s"
    r"(?:therefore\s|thus\s)?(?:the\s)?(?:(?:final\s)?(?:answer|option|choice)|correct|best)\b"
    r"|[故应]?选[择：:]?\s?\(?([A-J])(?![\w'])"
)
_LEAD = re.compile(
    r"(?:\s|[:：=]|(?:that|therefore|thus|simply|just|exactly|about|approximately|equal to|indeed|"
    r"then|clearly|option|choice|as follows)\b)+",
    re.IGNORECASE,
)
_REASONS = re.compile(
    r"[,;]?\s\(?(?:because|since|as we|which|where|so that|given|for (?:a|the|each|every)"
    r"|I (?:think|believe|guess)|i\.e\.|as required|after|in total|altogether|according"
    r"|(?:and )?not\s|rather than|instead of)"
    r"(?:\b|(?<=\s))",
    re.IGNORECASE,
)
_CORRECTION = re.compile(r"not\s[^,.;\n]{1,40}?,?\s(?:but|rather)\s", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<![\s\\])(?:[.!?](?!\s=)(?=\s|$|[A-Z\"'])|[。！？])|\n")
_SELF_PRAISE = re.compile(
    r"(?:indeed |also |therefore |now )?(?:correct|right|reasonable|valid|verified|complete"
    r"|consistent|confirmed|wrong|incorrect|as (?:above|stated))\b",
    re.IGNORECASE,
)
_CHOOSES = ("choose", "select", "pick", "go with", "correct", "best", "is the", "must be", "选")
MAX_SENTENCE = 2_000
MAX_MATCHES = 20
BEFORE = 40  # characters that a phrase may begin before its keyword


def last(text: str, *, truncated: bool = False) -> tuple[str, ...] | None:
    """What the last answer phrase says, up to the end of its sentence; None without a phrase.

    A sentence that runs into the end of a truncated text is none.
    """
    found = _matches(_PHRASE, ("answer", "option", "choice", "letter", "答案"), text)
    choices = _matches(_CHOICE, _CHOOSES, text)
    choice = choices[-1] if choices else None
    end = found[-1].end() if found else 0
    if choice and (not found or choice.start() >= end or choice.end() > end + 12):
        return (choice[1] or choice[2] or choice[3],)
    for phrase in reversed(found):
        said = _said(text[phrase.end() :][:MAX_SENTENCE], truncated)
        announced = (
            phrase.group().rstrip().casefold().endswith((*":：=是为為于", "is", "are", "was"))
        )
        if not said and not announced and "\n" not in phrase.group():
            continue  # 12 is the final answer
        if said is None and phrase is not found[0]:
            continue
        return said or ()
    return None


def _matches(pattern: re.Pattern[str], keywords: tuple[str, ...], text: str) -> list[re.Match[str]]:
    """The last matches of a pattern, sought from the first of its keywords on."""
    lower = text.lower()
    places = [place for word in keywords if (place := lower.find(word)) >= 0]
    if not places:
        return []
    start = max(0, min(places) - BEFORE) if len(lower) == len(text) else 0
    return list(pattern.finditer(text, start))[-MAX_MATCHES:]


def _said(rest: str, truncated: bool) -> tuple[str, ...] | None:
    """The answer at the beginning of `rest`; None where it is asked, or only praised."""
    lead = _LEAD.match(rest)
    if lead:
        rest = rest[lead.end() :]
        rest = rest[2:] if "\n" in lead.group() and rest.startswith(("- ", "* ")) else rest
    rest = _CORRECTION.sub("", rest)
    if (formula := FORMULA.match(rest)) and "\n" in formula.group():
        return (inside(formula).strip(" .\n"),)
    end = _SENTENCE_END.search(rest)
    if truncated and not end:
        return ()
    sentence = rest[: end.start()] if end else rest
    if _SELF_PRAISE.match(sentence) or (end and end.group() == "?"):
        return None
    sentence = without_reasons(sentence).rstrip(" .:。").lstrip(" :")
    return (sentence,) if sentence else ()


def without_reasons(sentence: str) -> str:
    """A sentence up to its "because", "since", "not" and the like."""
    return _REASONS.split(sentence, maxsplit=1)[0]
