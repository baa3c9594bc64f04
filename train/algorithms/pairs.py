"""Pairs of completions from a file, in place of sampled ones: for DPO, and for a reward model."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field

from common.errors import UserError
from data import Problem, PromptTemplate
from data.rows import read_rows
from rewards import Verdict
from sampling import Completion
from train.config.algorithm import AlgorithmSettings
from train.rollout import Rollout

if TYPE_CHECKING:
    from train.config.schema import TrainConfig

FIELDS = ("question", "chosen", "rejected")


class LearnsFromPairs(AlgorithmSettings):
    pairs: str | None = Field(
        None, description="a file of question, chosen, rejected, in place of sampled completions"
    )

    def check(self, config: "TrainConfig") -> None:
        super().check(config)
        if self.pairs:
            read_pairs(self.pairs)


def read_pairs(path: str | Path) -> list[dict[str, str]]:
    """The pairs of a JSONL or Parquet file with the fields question, chosen and rejected.

    Each keeps `where` it stands. Raises UserError for a file that cannot be read, is empty, lacks a
    field, or prefers a text to itself.
    """
    pairs: list[dict[str, str]] = []
    for where, row in read_rows(Path(path)):
        if missing := [name for name in FIELDS if not isinstance(row.get(name), str)]:
            raise UserError(f"{where}: no text in '{missing[0]}'")
        if row["chosen"] == row["rejected"]:
            raise UserError(f"{where}: 'chosen' and 'rejected' are the same text")
        pairs.append({**{name: row[name] for name in FIELDS}, "where": str(where)})
    if not pairs:
        raise UserError(f"{path}: holds no pairs")
    return pairs


def pairs_that_fit(path: str | Path, prompt: PromptTemplate, context: int) -> list[dict[str, str]]:
    """The pairs of a file; raises UserError for one that is longer than the context."""
    pairs = read_pairs(path)
    for row in pairs:
        asked = len(prompt.encode(row["question"]))
        for name in FIELDS[1:]:
            tokens = asked + len(prompt.encode_target(row[name]))
            if tokens > context:
                raise UserError(
                    f"{row['where']}: question and '{name}' are {tokens} tokens, more than the "
                    f"context of {context}"
                )
    return pairs


def rollout_of_pairs(
    pairs: list[dict[str, str]], prompt: PromptTemplate, count: int, step: int, seed: int
) -> Rollout:
    """`count` pairs drawn by `seed`, each a group of two: the chosen first, with reward 1."""
    rows = random.Random(seed).choices(pairs, k=count)
    rewards = torch.tensor([[1.0, 0.0]] * count)
    return Rollout(
        step=step,
        seed=seed,
        problems=[Problem(str(i), row["question"], "") for i, row in enumerate(rows)],
        sources=["pairs"] * len(rows),
        prompts=[prompt.encode(row["question"]) for row in rows],
        completions=[[_completion(row[name], prompt) for name in FIELDS[1:]] for row in rows],
        verdicts=[[_verdict(r) for r in (1, 0)] for _ in rows],
        rewards=rewards,
        shaped=rewards,
        sample_seconds=0.0,
        reward_seconds=0.0,
    )


def _completion(text: str, prompt: PromptTemplate) -> Completion:
    """A completion that nobody sampled: it has no log-probs."""
    return Completion(text, prompt.encode_target(text), [], "stop")


def _verdict(reward: int) -> Any:
    return Verdict(reward, None, "from the file", 0.0)
