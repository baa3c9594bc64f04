"""The checker's reasons in words that need no explaining."""

# How an answer was found.
RULES = {
    "tag": "an answer tag",
    "boxed": "the last \\boxed{…}",
    "hashes": "the mark ####",
    "phrase": "a phrase such as “the answer is”",
    "unmarked": "nothing marks it: the last number",
    "none": "nothing looks like an answer",
    "unfinished thought": "the thinking never ends",
}


def in_words(reason: str) -> str:
    """A verdict's reason, `RULE: what decided`, for somebody who knows neither."""
    rule, _, decided = reason.partition(": ")
    if rule not in RULES:
        return reason
    return f"found by {RULES[rule]}; compared as: {decided}" if decided else RULES[rule]
