"""Answers as the page shows them: verdicts, votes, where two part, what training did to tokens."""

from app.answers import Answer, Answerer
from app.changes import coloured, find_parting, parting_html, token_texts
from app.text import badge, to_markdown, votes
from eval.votes import classes
from rewards import check


def verdict_html(text: str, gold: str) -> str:
    """The verdict on one answer; without a gold, that there is none."""
    if not gold.strip():
        return badge(None, None, "")
    verdict = check(text, gold)
    return badge(verdict.reward, verdict.extracted, verdict.reason)


def tally_html(texts: list[str], gold: str) -> tuple[str, str]:
    """The votes of some samples, and the first of them."""
    verdicts = [check(text, gold) for text in texts]
    found = [v.extracted for v in verdicts]
    rewards = [v.reward for v in verdicts] if gold.strip() else None
    return votes(found, classes(found), rewards), to_markdown(texts[0])


def show_parting(answerer: Answerer, told: list[Answer]) -> tuple[str, list[tuple[int, int]]]:
    """Where the first two answers part: in words, and as marked characters of each answer."""
    marks = [(0, 0)] * len(told)
    if len(told) < 2:
        return "", marks
    pair = told[:2]
    if pair[0].choice.model != pair[1].choice.model:
        return "Their base models differ, and so may their tokens.", marks
    tokenizers = [answerer.tokenizer(a.choice) for a in pair]
    ids = [a.completion.token_ids for a in pair]
    parting = find_parting(ids, tokenizers)
    if parting is None:
        return parting_html(None, ids[0] == ids[1], [], []), marks
    marks[:2] = parting.spans
    at = parting.place
    probabilities = [
        [answerer.logprobs(a.choice, a, [*ids[0][:at], one[at]])[-1] for one in ids] for a in pair
    ]
    names = [a.choice.label for a in pair]
    return parting_html(parting, False, names, probabilities), marks


def show_colours(answerer: Answerer, told: list[Answer]) -> list[str]:
    """The answers' tokens coloured by what training did to them, one piece of HTML a side."""
    shown = []
    for answer in told:
        trained = [answer.choice, *(other.choice for other in told)]
        after = next((c for c in trained if c.adapter and c.model == answer.choice.model), None)
        ids = answer.completion.token_ids
        if after is None or not ids:
            shown.append("<p>No checkpoint of this base among those asked.</p>")
            continue
        texts = token_texts(ids, answerer.tokenizer(after))
        was, now = (answerer.logprobs(c, answer, ids) for c in (after.base(), after))
        shown.append(coloured(texts, was, now))
    return shown
