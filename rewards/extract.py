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

TAIL = 20_000  # characters of the end of a completion in which an answer is looked for

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_BRACE = re.compile(r"\\.|[{}]", re.S)  # an escaped brace is no brace
_JOINED = re.compile(r"[\s$,;.&]{0,20}(?:,|;|and|or|\\text\{\s?(?:and|or)\s?\})[\s$,;]{0,20}")
_PHRASE = re.compile(
    r"(?:\banswer\b(?:\s+to\s+[^.:\n]{1,80}?)?\s*(?:is|are|=|:|was|equals|would be|should be)"
    r"|答案(?:是|为|：|:)?)",
    re.IGNORECASE,
)
_REASONS = re.compile(r"[,;]?\s(?:because|since|as we|which|where|so that|given)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?:(?<=\S)[.。!?！？](?=\s|$)|\n)")
_FORMULA = re.compile(
    r"\$\$([^$]+)\$\$|\$([^$\n]+)\$|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", re.S
)
_NUMBER = re.compile(
    r"[-+−]?(?:[$€£]\s?)?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:[eE][-+]?\d{1,4}(?!\w))?(?:\s?/\s?\d+)?(?:\s?\\?%)?"
)
_EMPHASIS = re.compile(r"\*\*|__|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)|`")


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
    text = completion[-TAIL:]
    _, thought, after = text.rpartition("</think>")
    text = after if thought else text
    boxes = _boxes(text)
    if boxes is not None:
        return Extraction("boxed", boxes)
    if "####" in text:
        line = text.rsplit("####", 1)[1].strip().split("\n", 1)[0].strip()
        line = _EMPHASIS.sub("", line).strip()
        return Extraction("####", (line,) if line else ())
    phrase = _after_phrase(_EMPHASIS.sub("", text))
    if phrase is not None:
        return Extraction("phrase", phrase)
    if strict:
        return Extraction("none", ())
    last = _last_expression(_EMPHASIS.sub("", text))
    return Extraction("last expression", (last,) if last else ())


def _boxes(text: str) -> tuple[str, ...] | None:
    """The last box, with those joined to it; None if there is no box, () if it is empty."""
    found = [(m.start(), *_braced(text, m.end())) for m in _BOX.finditer(text)]
    if not found:
        return None
    parts = [found[-1][1]]
    begin = found[-1][0]
    for start, content, end in reversed(found[:-1]):
        if end > begin:  # a box around the later box
            parts, begin = [content], start
        elif _JOINED.fullmatch(text, end, begin):
            parts.insert(0, content)
            begin = start
        else:
            break
    inner = [_BOX.sub("", part).strip() for part in parts]
    return tuple(part for part in inner if part) if any(inner) else ()


def _braced(text: str, begin: int) -> tuple[str, int]:
    """The braced group (or single token) at `begin`, and where it ends."""
    if not text.startswith("{", begin):
        word = re.compile(r"-?\w+|\S").match(text, begin)
        return (word.group(), word.end()) if word else ("", begin)
    depth = 0
    for brace in _BRACE.finditer(text, begin):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return text[begin + 1 : brace.start()], brace.end()
    return "", len(text)  # never closed: cut off in mid-answer


def _after_phrase(text: str) -> tuple[str, ...] | None:
    found = None
    for found in _PHRASE.finditer(text):  # noqa: B007 - the last match is wanted
        pass
    if found is None:
        return None
    rest = text[found.end() :].lstrip(" :：\t\n")[:2000]
    display = re.match(r"\$\$|\\\[|\$|\\\(", rest)
    if display and (formula := _FORMULA.match(rest)):
        return (next(part for part in formula.groups() if part is not None).strip(" .\n"),)
    end = _SENTENCE_END.search(rest)
    sentence = rest[: end.start()] if end else rest
    reasons = _REASONS.search(sentence)
    sentence = (sentence[: reasons.start()] if reasons else sentence).strip(" .:。")
    return (sentence,) if sentence else ()


def _last_expression(text: str) -> str | None:
    formula = number = None
    for formula in _FORMULA.finditer(text):  # noqa: B007 - the last match is wanted
        pass
    for number in _NUMBER.finditer(text):  # noqa: B007
        pass
    if formula and (number is None or number.start() < formula.end()):
        return next(part for part in formula.groups() if part is not None).strip()
    return number.group().strip() if number else None
