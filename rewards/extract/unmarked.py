"""The answer of a completion that marks none: its last line, formula or number."""

import re

from rewards.extract.expressions import (
    MAX_PARTS,
    Found,
    formulas,
    number_spans,
    whole_expression,
    with_dollar_signs,
)
from rewards.parse.modifiers import is_compared, is_denied, is_set_aside

MAX_LINE = 300
_WORDS = r"(?:or|and|y|e|o|u|et|ou|und|oder|и|или)"
_LISTED = re.compile(
    rf"\s{{0,3}}(?:[,;]|(?:,\s?)?\b{_WORDS}\b|[或和])\s{{0,3}}(?P<name>[a-zA-Z]\s?=\s?)?",
    re.IGNORECASE,
)
_TEXT = re.compile(r"\\(?:text|mathrm|operatorname|mbox|begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+|\\.")
_WORD = re.compile(r"[a-zA-Z]{2,}|[a-zA-Z]\s[a-zA-Z]\b")
_RESULT = re.compile(
    r"(?:=|>>|\b(?:is|are|was|were|be|ha[sd]|have|needs?|takes?|took|costs?|earns?|makes?|made|pays?"
    r"|spends?|total of))\s?(?:(?:only|about|exactly|now|a total of)\s)?\$?$"
)
_VERBS = r"(?:is|are|was|were|and|total|sum|equals|gives|gets?|makes?|becomes)\b"
_PHRASE = re.compile(
    r"[^.,;:=?!\n]*\b(?:in|for|after|during|over|on|with|of|at|before|within|from|by|per|than)\b[^.,;:=?!\n]*"
)
_ADJUNCT = re.compile(
    rf"(?:(?!\b{_VERBS})[^.,;:=?!\d\n])*?\b(?:(?:in|for|after|during|over|on|at|before|within|from|every)"
    rf"|with\sa|to\s(?!get|give|make|be)[a-z]+)\b(?:(?!\b{_VERBS})[^.,;:=?!\d\n])*"
)
_VERB = re.compile(r"[a-z]+\s\$?$")
_PARALLEL = re.compile(  # behind a number: of another thing
    r"(?:\s[a-z]+){0,4},?\s(?:and|while|but|whereas)\s(?!.*\b(?:so|thus|hence|therefore|then|now|left"
    r"|total|together|altogether|remain\w*|means)\b)[^,;:=!?\d]*|[,;]\s[A-Z][a-z]+\s[a-z]+\s\$?"
)
_SUBORDINATE = re.compile(
    r"\b(?:since|because|as|if|when|given|with|after|once|where)\b[^.!?\n]*$", re.IGNORECASE
)
_KINDS = re.compile(r"\s[a-z]+(?:\s[a-z]+)?\sand\s")  # 12 boys and 8 girls
_KIND = re.compile(r"\s(?!left|remain|are|is|were|was|in|more|other)[a-z]+(?:\s[a-z]+)?[.!\s]*$")
_THAN = re.compile(
    r"(?:\s[a-z]+)?\s(?:times\sas|(?:more|less|fewer|[a-z]{2,}er)\s(?:[a-z]+\s)?than)\b"
)
_SENTENCE_END = re.compile(r"\n|[.;?!](?:\s|$)")
_ASKS = re.compile(r"\d|\b(?:how|what|which|who|when)\b", re.IGNORECASE)
_NAME_BEFORE = re.compile(r"\b[a-zA-Z]\s?=\s?$")
_CHINESE = re.compile(r"[\u3040-\u9fff]")
_LABEL = re.compile(r"^[A-Za-z]\s?:\s+")
_CHOICE = re.compile(r"^(?:(?i:option|choice)\s\(?([A-J])\)?|(?i:(yes|no|true|false)))\.?\Z", re.M)
_CORRECTED = re.compile(r"\s{0,3}[,(]\s{0,3}(?:and\s)?not\s[^,.\n()]{1,40}\)?[.\s]{0,3}$")
_FUNCTION = re.compile(r"\b(?:sqrt|sin|cos|tan|ln|log|pi)\b")
_LETTERS_OR_SETS = re.compile(r"[a-zA-Z\\({\[]|\d\s\d")


def answer(text: str) -> tuple[str, ...]:
    """The last line if it is a formula as a whole, else the last formula or number.

    With those listed before it: "5 or 6" is two.
    """
    text = _CORRECTED.sub("", text.rstrip())
    if text.endswith("?") and _ASKS.search(re.split(r"[.!?\n]", text[-MAX_LINE:-1])[-1]):
        return ()
    if choice := _CHOICE.search(text):
        return (choice[1] or choice[2],)
    line = _LABEL.sub("", text.rpartition("\n")[2].strip(" ."))
    if is_bare_formula(line):
        return (line,)
    text = _without_asides(with_dollar_signs(text))
    found = formulas(text)
    last_formula = found[-1].end if found else 0
    spans = [span for span in number_spans(text) if span[0] >= last_formula]
    numbers = _before_a_phrase(text, spans, _last_numbers(text, spans))
    if not numbers:
        if spans and not found:
            return ()
        numbers = _last_formulas(text, found)
    return tuple(one.text for one in numbers)


def is_bare_formula(line: str) -> bool:
    """Whether a line is LaTeX or arithmetic without dollar signs, and more than a number."""
    if not line or len(line) > MAX_LINE or "$" in line or "\\(" in line or "\\[" in line:
        return False
    rest = _FUNCTION.sub(" ", _TEXT.sub(" ", line))
    if _WORD.search(rest) or _CHINESE.search(line) or not _LETTERS_OR_SETS.search(line):
        return False
    return bool(re.fullmatch(r"[\w\s.,;:+\-*/^=<>(){}\[\]\\|!%'&°√π≤≥≠∞∪∈±²³·×]*", line))


def _before_a_phrase(text: str, spans: list[tuple[int, int]], last: list[Found]) -> list[Found]:
    """The value of a sentence, where the last number only stands in a phrase behind it.

    10 x 5 = 50 miles in 5 days: 50; she has 7 left after selling 3: 7; 5 pies for $20: neither.
    """
    if len(last) != 1 or text[: last[0].start].rstrip().endswith("="):
        return last
    is_compared = bool(_THAN.match(text, last[0].end))
    verb = _VERB.search(text[max(0, last[0].start - 40) : last[0].start])
    for start, end in reversed([span for span in spans if span[1] <= last[0].start][-4:]):
        between = text[end : last[0].start]
        if len(between) > MAX_LINE or _SENTENCE_END.search(between.replace("; ", ", ")):
            break
        if not (whole := whole_expression(text, start, end)):
            continue
        between = text[whole.end : last[0].start]
        before = text[max(0, whole.start - 40) : whole.start]
        result = _RESULT.search(before)
        if result and _KINDS.fullmatch(between) and _KIND.match(text, last[0].end):
            return []
        same = verb and (other := _VERB.search(before)) and other.group() == verb.group()
        if same and _PARALLEL.fullmatch(between):
            return last if _SUBORDINATE.search(before) else []
        if ";" in between:
            break
        if is_compared or _ADJUNCT.fullmatch(between):
            return [whole] if result else []
        if result:
            is_sum = result.group().startswith(("=", ">"))
            return [whole] if is_sum and _PHRASE.fullmatch(between) else last
    return last


def _without_asides(text: str) -> str:
    """The text without the formulas of its conditions: at x = 2 and y = 3."""
    end = -1
    for one in formulas(text):
        left, equals, _ = one.text.partition("=")
        lead = text[max(0, one.start - 60) : one.start] + (left + equals if equals else "")
        listed = end >= 0 and _LISTED.fullmatch(text, end, one.start)
        if listed or is_set_aside(lead, text[one.end : one.end + 40]):
            end = one.end
            text = f"{text[: one.start]}{' ' * (end - one.start)}{text[end:]}"
    return text


def _last_formulas(text: str, found: list[Found]) -> list[Found]:
    if not found or is_denied(text[max(0, found[-1].start - 60) : found[-1].start]):
        return []
    return _with_listed(text, found)


def _last_numbers(text: str, spans: list[tuple[int, int]]) -> list[Found]:
    """The last number with all that belongs to it, and those listed before it."""
    found: list[Found] = []
    begin = len(text)
    for start, end in reversed(spans[-2 * MAX_PARTS :]):
        if end > begin:
            continue
        if found and begin - end > 40:
            break
        whole = whole_expression(text, start, end)
        if whole is None:
            if found and not _LISTED.fullmatch(text, end, begin):
                break
            before = text[max(0, start - 60) : start]
            aside = is_set_aside(before, text[end : end + 40])
            if not aside and (is_denied(before) or is_compared(before)):
                return []
            if found:
                break
            continue
        if found:
            if text.startswith("(", begin) and not text[whole.end : begin].strip():
                return [whole, *found]  # 90 minutes (1.5 hours)
            listed = _LISTED.fullmatch(text, whole.end, begin)
            name = _NAME_BEFORE.search(text[max(0, whole.start - 8) : whole.start])
            if not listed or bool(listed["name"]) > bool(name):
                break
            if name and listed["name"]:  # x = 3 or x = -3; x = 1 and y = 2
                found[0] = found[0]._replace(text=listed["name"] + found[0].text)
                start = whole.start - len(name.group())
                whole = whole._replace(start=start, text=name.group() + whole.text)
        found.insert(0, whole)
        begin = whole.start
        if len(found) == MAX_PARTS:
            break
    return found


def _with_listed(text: str, found: list[Found]) -> list[Found]:
    parts = [found[-1]]
    for one in reversed(found[-MAX_PARTS:-1]):
        listed = _LISTED.fullmatch(text, one.end, parts[0].start)
        if not listed or listed["name"]:
            break
        parts.insert(0, one)
    return parts
