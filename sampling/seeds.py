"""Random streams: one for each prompt of a call, made of seed and prompt alone."""

import collections
import hashlib
from collections.abc import Sequence


def prompt_keys(prompts: Sequence[Sequence[int]], seed: int) -> list[int]:
    """A signed 64-bit key for each prompt, whatever else is in the batch.

    A prompt that occurs again gets another key: its first occurrence does not know of the second.
    """
    seen: collections.Counter[str] = collections.Counter()
    keys = []
    for prompt in prompts:
        text = f"{seed}:{','.join(map(str, prompt))}"
        again = f"#{seen[text]}" if seen[text] else ""
        seen[text] += 1
        digest = hashlib.sha256((text + again).encode()).digest()
        keys.append(int.from_bytes(digest[:8], "little", signed=True))
    return keys


def engine_seed(key: int) -> int:
    """The key as a seed for vLLM, which adds the completion's number to it."""
    return key & ((1 << 62) - 1)
