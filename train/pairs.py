"""Pairs of completions from a file, in place of sampled ones: for DPO, and for a reward model."""

import random
from pathlib import Path

import torch

from common.errors import UserError
from data import Problem, PromptTemplate
from data.load import read_rows
from rewards import Verdict
from sampling import Completion
from train.rollout import Rollout

FIELDS = ("question", "chosen", "rejected")


class PairFile:
    """Pairs of a JSONL or Parquet file with the fields question, chosen and rejected."""

    def __init__(self, path: str | Path, template: PromptTemplate):
        """Raises UserError for a file that cannot be read, is empty, or lacks a field."""
        self.template = template
        self.rows: list[dict[str, str]] = []
        for where, row in read_rows(Path(path)):
            if missing := [name for name in FIELDS if not isinstance(row.get(name), str)]:
                raise UserError(f"{where}: no text in '{missing[0]}'")
            self.rows.append({name: row[name] for name in FIELDS})
        if not self.rows:
            raise UserError(f"{path}: holds no pairs")

    def draw(self, count: int, seed: int) -> Rollout:
        """A rollout of `count` pairs, each a group of two: the chosen first, with reward 1."""
        rows = random.Random(seed).choices(self.rows, k=count)
        rewards = torch.tensor([[1.0, 0.0]] * count)
        return Rollout(
            problems=[Problem(str(i), row["question"], "") for i, row in enumerate(rows)],
            prompts=[self.template.encode(row["question"]) for row in rows],
            completions=[[self._completion(row[name]) for name in FIELDS[1:]] for row in rows],
            verdicts=[[Verdict(r, None, "from the file", 0.0) for r in (1, 0)] for _ in rows],
            rewards=rewards,
            shaped=rewards,
            advantages=rewards - 0.5,
            sample_seconds=0.0,
            reward_seconds=0.0,
        )

    def _completion(self, text: str) -> Completion:
        """A completion that nobody sampled: it has no log-probs."""
        return Completion(text, self.template.encode_target(text), [], "stop")
