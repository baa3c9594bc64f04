"""Which part of a completion is its answer.

After the last `</think>`, the first of these that is found, and of each the last one:

1. `\\boxed{…}` or `\\fbox{…}` (boxes joined by commas, "and" or "or" form one list),
2. what follows `####`,
3. what follows "(final) answer is" or "answer:" (also 答案),
4. unless `strict`, the last formula between dollar signs, or the last number.

Every search is linear in the length of the text.
"""

import dataclasses
import re

TAIL = 50_000  # characters of the end of a completion in which rules 3 and 4 look
MAX_BOXES = 50  # that are joined to one list

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s{0,20}")
_BRACE = re.compile(r"\\.|[{}]", re.S)  # an escaped brace is no brace
_JOINED = re.compile(
    r"[\s$.&*\\()]{0,20}"
    r"(?:,|;|\band\b|\bor\b|\\text\{\s*(?:and|or)\s*\}|和|或)+"
    r"(?:[\s$&*,;]|\\[(),;!]|\band\b|\bor\b|[a-zA-Z]\w{0,3}\s?=){0,20}"
)
_PHRASE = re.compile(
    r"\bfinal\s{1,3}answers?\b(?:\s{0,3}[:：=]|\s{0,3}\n)?(?:\s{0,3}(?:is|are|was)\b\s{0,3}:?)?"
    r"|\banswers?\b(?:\s+(?:to|for)\s+[^.:\n]{1,80}?)?\s{0,3}"
    r"(?:(?:is|are|was|equals|would be|should be|must be|will be)\b(?:\s{0,3}[:：])?|[=:：])"
    r"|答案(?:\s?(?:是|为|為|等于))?\s?[：:]?",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?:\s|[:：=]|(?:that|therefore|thus|simply|just|exactly|about|approximately|equal to|indeed|"
    r"then|clearly|option|choice)\b)+",
    re.IGNORECASE,
)
_REASONS = re.compile(
    r"[,;]?\s\(?(?:because|since|as we|which|where|so that|given|when|for (?:a|the|each|every)"
    r"|i\.e\.|as required|after|if|in total|altogether|according)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=\S)(?:[.!?](?=\s|$|[A-Z\"'])|[。！？])|\n")
_FORMULA = re.compile(
    r"\$\$([^$]{1,2000})\$\$|(?<!\\)\$([^$\n]{1,2000})(?<!\\)\$"
    r"|\\\(((?:[^\\\n]|\\[^()\n]){1,2000})\\\)|\\\[((?:[^\\]|\\[^\[\]]){1,2000})\\\]",
)
_NUMBER = re.compile(
    r"(?:(?<![\w)])[-+])?(?:\\?[$€£]\s?)?"
    r"(?:\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+)"
    r"(?:[eE][-+]?\d{1,4}(?!\w))?(?:\s?/\s?\d+(?![\d/]))?(?:\s?\\?%)?"
)
_EMPHASIS = re.compile(r"\*\*|__|(?<![\w\s)}\d])\*(?=\S)|(?<=\S)\*(?![\w\s({\\])|`|^#+ ", re.M)
_LISTED = re.compile(r"\s{0,3}(?:,|;|\bor\b|\band\b|,\s?or|,\s?and)\s{0,3}", re.IGNORECASE)
_EMPTY = re.compile(r"(?:\s|\\text\s*\{\s*\}|\\[,;!: ]|\$|~|\{\s*\})*")


@dataclasses.dataclass(frozen=True, slots=True)
class Extraction:
    """An answer found by `rule`; several joined answers are several `parts`. No parts: none."""

    rule: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str | None:
        return ", ".join(self.parts) if self.parts else None


def extract(completion: str, *, strict: bool = False) -> Extraction:
    """Find the answer in a completion; see the rules above."""
    _, thought, after = completion.rpartition("</think>")
    text = after if thought else completion
    boxes = _boxes(text)
    if boxes is not None:
        return Extraction("boxed", boxes)
    if "####" in text:
        line = text.rsplit("####", 1)[1][:TAIL].strip().split("\n", 1)[0]
        line = _EMPHASIS.sub("", line).strip("# \t")
        return Extraction("####", (line,) if line else ())
    tail = _EMPHASIS.sub("", plain_digits(text[-TAIL:]))
    phrase = _after_phrase(tail)
    if phrase is not None:
        return Extraction("phrase", phrase)
    if strict:
        return Extraction("none", ())
    return Extraction("last expression", last_expressions(tail))


def plain_digits(text: str) -> str:
    """Full-width digits and signs as ASCII, other characters as they are."""
    return text if text.isascii() else text.translate(_FULL_WIDTH)


_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x2212: "-"}


def _boxes(text: str) -> tuple[str, ...] | None:
    """The last box, with those joined to it; None if there is no box, () if it is empty."""
    starts = [(m.start(), m.end()) for m in _BOX.finditer(text)]
    if not starts:
        return None
    parts: list[str] = []
    begin = 0
    for start, at in reversed(starts[-MAX_BOXES:]):
        content, end = _braced(text, at)
        if not parts:
            parts = [content]
        elif end > begin:  # a box around the later box
            parts[0] = content
        elif _JOINED.fullmatch(text, end, begin):
            parts.insert(0, content)
        else:
            break
        begin = start
    parts = [_BOX.sub("", part).strip() for part in parts]
    return tuple(parts) if not any(_EMPTY.fullmatch(part) for part in parts) else ()


def _braced(text: str, begin: int) -> tuple[str, int]:
    """The braced group (or single token) at `begin`, and where it ends."""
    if not text.startswith("{", begin):
        word = _ONE_TOKEN.match(text, begin)
        return (word.group(), word.end()) if word else ("", begin)
    depth = 0
    for brace in _BRACE.finditer(text, begin):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return text[begin + 1 : brace.start()], brace.end()
    return "", len(text)  # never closed: cut off in mid-answer


_ONE_TOKEN = re.compile(r"-?\d+(?:\.\d+)?|\w+")


def _after_phrase(text: str) -> tuple[str, ...] | None:
    """What the last answer phrase says, up to the end of its sentence; None without a phrase."""
    found = None
    for found in _PHRASE.finditer(text):  # noqa: B007 - the last match is wanted
        pass
    if found is None:
        return None
    rest = text[found.end() :][:2000]
    lead = _LEAD.match(rest)
    rest = rest[lead.end() :] if lead else rest
    if (formula := _FORMULA.match(rest)) and "\n" in formula.group():
        return (next(part for part in formula.groups() if part is not None).strip(" .\n"),)
    end = _SENTENCE_END.search(rest)
    sentence = rest[: end.start()] if end else rest
    reasons = _REASONS.search(sentence)
    sentence = (sentence[: reasons.start()] if reasons else sentence).strip(" .:。")
    return (sentence,) if sentence else ()


def last_expressions(text: str) -> tuple[str, ...]:
    """The last formula or number, with those listed before it: "5 or 6" is two."""
    found = [(m.start(), m.end(), _inside(m)) for m in _FORMULA.finditer(text)]
    last_end = found[-1][1] if found else 0
    numbers = [(m.start(), m.end(), m.group()) for m in _NUMBER.finditer(text)]
    if not found or any(start >= last_end for start, _, _ in numbers):
        found = numbers
    if not found:
        return ()
    parts = [found[-1]]
    for one in reversed(found[-MAX_BOXES:-1]):
        if not _LISTED.fullmatch(text, one[1], parts[0][0]):
            break
        parts.insert(0, one)
    return tuple(part.strip() for _, _, part in parts)


def every_expression(text: str) -> tuple[str, ...]:
    """The formulas of a sentence, or where it has none its numbers."""
    formulas = tuple(_inside(m).strip() for m in _FORMULA.finditer(text))
    return (formulas or tuple(m.group().strip() for m in _NUMBER.finditer(text)))[:MAX_BOXES]


def _inside(formula: re.Match[str]) -> str:
    return next(part for part in formula.groups() if part is not None)
