"""Which part of a completion is its answer.

After the last `</think>`, the first of these that is found, and of each the last one:

1. `tag`: what stands in `<answer>…</answer>`, where a box in it comes first,
2. `boxed`: `\\boxed{…}` or `\\fbox{…}` (boxes joined by commas, "and" or "or" form one list),
3. `hashes`: what follows `####`,
4. `phrase`: what follows "(final) answer is" or "answer:" (also 答案), or names a choice,
5. `unmarked`, unless `strict`: the last formula between dollar signs, or the last number.

A thought that was never closed gives no answer, nor does an unmarked number of a completion that
was cut off. Every search is linear in the length of the text.
"""

import dataclasses
import re

from rewards.extract import boxes, phrases, unmarked
from rewards.extract.expressions import EMPHASIS, TAIL
from rewards.parse.normalize import plain_digits

TAG = re.compile("<answer>", re.IGNORECASE)
CLOSING_TAG = re.compile("</answer>", re.IGNORECASE)
TURN_END = re.compile(r"<(?:\|(?:im_end|endoftext|eot_id|end_of_text)\|>|/s>|eos>|end_of_turn>)")
CODE = re.compile(  # that a completion ends in
    r"```(?!(?:output|text|latex|tex|math)\b)[a-z]\w*\s*\n[^`]*(?:```)?\s*\Z", re.IGNORECASE
)
THOUGHTS = {  # each with what ends it
    "<think>": "</think>", "<thinking>": "</thinking>", "<thought>": "</thought>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Extraction:
    """An answer found by `rule`; several joined answers are several `parts`. No parts: none."""

    rule: str
    parts: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        return ", ".join(self.parts) if self.parts else None


def extract(completion: str, *, strict: bool = False, truncated: bool = False) -> Extraction:
    """Find the answer in a completion; see the rules above.

    `truncated` says that the completion was cut off by a limit on its length.
    """
    text = _after_thought(TURN_END.split(completion, maxsplit=1)[0])
    if text is None:
        return Extraction("unfinished thought")
    *before, last = TAG.split(text)
    if before:
        return _tagged(last, truncated)
    return _marked(text, truncated) or (
        Extraction("none")
        if strict or truncated or CODE.search(text)
        else Extraction("unmarked", unmarked.answer(EMPHASIS.sub("", plain_digits(text[-TAIL:]))))
    )


def _after_thought(completion: str) -> str | None:
    """What follows the last thought; None if that is not finished."""
    for opening, closing in THOUGHTS.items():
        _, closed, after = completion.rpartition(closing)
        completion = after if closed else completion
        if opening in completion:
            return None
    return completion


def _tagged(inside: str, truncated: bool) -> Extraction:
    content, *closed = CLOSING_TAG.split(inside, maxsplit=1)
    if truncated and not closed:
        return Extraction("tag")
    marked = _marked(content, truncated=False)
    if marked and (marked.parts or marked.rule == "boxed"):
        return Extraction("tag", marked.parts)
    content = EMPHASIS.sub("", plain_digits(content[:TAIL])).strip()
    return Extraction("tag", (content,) if content else ())


def _marked(text: str, truncated: bool) -> Extraction | None:
    boxed = boxes.last(text)
    if boxed is not None:
        return Extraction("boxed", boxed)
    if "####" in text:
        line, ended, _ = text.rsplit("####", 1)[1][:TAIL].strip().partition("\n")
        if truncated and not ended:
            return Extraction("hashes")
        line = EMPHASIS.sub("", line)
        value = phrases.without_reasons(line)
        # A list of words may hold "where" or "since"; behind a number they begin a reason.
        line = (value if any(map(str.isdigit, value)) else line).strip("# \t")
        return Extraction("hashes", (line,) if line else ())
    phrase = phrases.last(EMPHASIS.sub("", plain_digits(text[-TAIL:])), truncated=truncated)
    return Extraction("phrase", phrase) if phrase is not None else None
