"""How lm-evaluation-harness scores a completion with our checker."""

from typing import Any

from rewards import check


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """The checker's reward of the first completion, by the gold behind `####`."""
    gold = doc["answer"].rsplit("####", 1)[-1].strip()
    return {"exact_match": float(check(results[0], gold).reward)}
