"""Answers as the page shows them: whose they are, the verdict, and what training did to them."""

from collections import Counter
from collections.abc import Sequence

from app.answers import Answer, Answerer
from app.html import badge, bars, code, exact_interval, percent
from app.reasons import in_words
from app.runs import Choice
from app.token_changes import (
    coloured,
    find_first_difference,
    first_difference_html,
    token_texts,
)
from eval.votes import classes
from rewards import Verdict, check

LETTERS = "ABCD"
MOST_GROUPS = 8  # different answers shown with their counts


def head(place: int, label: str, below: str = "", verdict: str = "") -> str:
    """The head of one side: its letter, whose answer it is, the verdict, a line below."""
    return (
        f'<div class="card-head"><span class="letter c{place}">{LETTERS[place]}</span>'
        f'<span class="whose">{code(label)}</span>{verdict}</div><div class="why">{below}</div>'
    )


def answer_head(place: int, answer: Answer, gold: str, *, done: bool) -> str:
    """The head of one answer, with its verdict once it is done."""
    label = answer.choice.label
    if answer.waiting:
        return head(place, label, f"{code(answer.waiting)} …")
    if not done:
        return head(place, label, "answering …")
    if not gold.strip():
        return head(place, label, "Give the correct answer to have this one checked.", badge(None))
    verdict = check(answer.completion.text, gold)
    return head(place, label, found_html(verdict), badge(verdict.reward))


def found_html(verdict: Verdict) -> str:
    """Which answer was found and why it counts, as HTML."""
    if verdict.extracted is None:
        return f"No answer found ({code(in_words(verdict.reason))})"
    found = code(verdict.extracted[:200])
    return f"Answer found: <b>{found}</b> ({code(in_words(verdict.reason))})"


def samples_head(place: int, choice: Choice, texts: Sequence[str], gold: str) -> tuple[str, str]:
    """The head of many samples (how many are right), and the answers by how often they came."""
    verdicts = [check(text, gold) for text in texts]
    found = [v.extracted for v in verdicts]
    rewards = [v.reward for v in verdicts] if gold.strip() else None
    if rewards is None:
        return head(place, choice.label, f"{len(texts)} samples", badge(None)), answer_counts(
            found, None
        )
    right, n = sum(rewards), len(rewards)
    low, high = exact_interval(right, n)
    rate = f'<span class="rate">{percent(right / n)} right</span>'
    below = f"{right} of {n} samples right, 95% interval {percent(low)} to {percent(high)}"
    return head(place, choice.label, below, rate), answer_counts(found, rewards)


def answer_counts(found: Sequence[str | None], rewards: Sequence[int] | None) -> str:
    """How many samples gave each answer, equal ones together, most frequent first."""
    kinds = classes(found)
    counted = Counter(kinds).most_common()
    rows = []
    for kind, count in counted[:MOST_GROUPS]:
        first = kinds.index(kind)
        shown = code(str(found[first])[:80]) if kind is not None else "<i>no answer</i>"
        right = None if rewards is None else rewards[first]
        sign = "" if right is None else " ✓" if right else " ✗"
        rows.append((shown + sign, count, "" if right is None else "right" if right else "wrong"))
    if rest := sum(count for _, count in counted[MOST_GROUPS:]):
        rows.append((f"<i>{len(counted) - MOST_GROUPS} other answers</i>", rest, "wrong"))
    return bars(rows, len(found))


def first_difference(answerer: Answerer, told: list[Answer]) -> tuple[str, list[tuple[int, int]]]:
    """Where the first two answers differ: as HTML, and as marked characters of each answer."""
    marks = [(0, 0)] * len(told)
    if len(told) < 2:
        return "", marks
    pair = told[:2]
    if pair[0].choice.model != pair[1].choice.model:
        return "The two have different base models, so their tokens cannot be compared.", marks
    tokenizers = [answerer.tokenizer(a.choice) for a in pair]
    ids = [a.completion.token_ids for a in pair]
    found = find_first_difference(ids, tokenizers)
    if found is None:
        return first_difference_html(None, ids[0] == ids[1], [], []), marks
    marks[:2] = found.spans
    before = ids[0][: found.place]
    logprobs = [
        [answerer.logprobs(a.choice, a.prompt, [*before, one[found.place]])[-1] for one in ids]
        for a in pair
    ]
    names = [f"{LETTERS[i]}: {a.choice.label}" for i, a in enumerate(pair)]
    return first_difference_html(found, False, names, logprobs), marks


def token_colours(answerer: Answerer, told: list[Answer]) -> list[str]:
    """The answers' tokens coloured by what training did to them, one piece of HTML a side."""
    shown = []
    for answer in told:
        trained = [answer.choice, *(other.choice for other in told)]
        after = next((c for c in trained if c.adapter and c.model == answer.choice.model), None)
        ids = answer.completion.token_ids
        if after is None or not ids:
            shown.append("<p>No checkpoint of this base model was asked beside it.</p>")
            continue
        texts = token_texts(ids, answerer.tokenizer(after))
        was, now = (answerer.logprobs(c, answer.prompt, ids) for c in (after.base(), after))
        shown.append(coloured(texts, was, now))
    return shown


def prompts_html(answerer: Answerer, question: str, choices: Sequence[Choice]) -> str:
    """The prompts as they are sent, equal ones once."""
    texts: dict[str, list[str]] = {}
    for i, choice in enumerate(choices):
        texts.setdefault(answerer.prompt_text(question, choice), []).append(LETTERS[i])
    parts = [
        f"<p>To {code(' and '.join(letters))}:</p><pre tabindex='0'>{code(text)}</pre>"
        for text, letters in texts.items()
    ]
    return f"<details><summary>The prompt as it is sent</summary>{''.join(parts)}</details>"
