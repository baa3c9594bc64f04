"""Optional rewards beside correctness, as plain functions; none is on by default.

Each takes texts or counts and returns a float; add them with weights of your choice to the 0/1
reward of the checker. Correctness stays what evaluation reports.
"""

import re
from collections import Counter

_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*\S.*", re.S)


def format_reward(completion: str, *, think: bool = False) -> float:
    """1.0 if the answer is in a `\\boxed{…}`, and with `think` behind one `<think>` block."""
    from rewards.extract import extract

    found = extract(completion, strict=True)
    boxed = found.rule == "boxed" and bool(found.parts)
    thought = completion.count("<think>") == 1 and bool(_THOUGHT.fullmatch(completion))
    return float(boxed and (thought or not think))


def length_penalty(tokens: int, *, free: int, limit: int) -> float:
    """0.0 up to `free` tokens, falling linearly to −1.0 at `limit` and beyond.

    The soft overlong punishment of DAPO (Yu et al. 2025, eq. 13), with `limit − free` its cache.
    Raises ValueError unless 0 ≤ free < limit.
    """
    if not 0 <= free < limit:
        raise ValueError("the free length must be below the limit")
    return -min(1.0, max(0.0, (tokens - free) / (limit - free)))


def repetition_penalty(completion: str, *, n: int = 4) -> float:
    """Minus the share of n-grams of words that repeat an earlier one: 0.0 for none, towards −1.0.

    Raises ValueError for n < 1.
    """
    if n < 1:
        raise ValueError("n-grams have at least one word")
    words = completion.split()
    grams = Counter(zip(*(words[i:] for i in range(n)), strict=False))
    total = sum(grams.values())
    return -(total - len(grams)) / total if total else 0.0
