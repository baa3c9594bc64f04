"""Rollouts kept as files, and shown on the terminal."""

import sys
from pathlib import Path

import pandas
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.files import whole_file
from train.rollout import Rollout

Advantages = list[list[float | list[float] | None]]  # [P][N], a number or one per token


def save_rollout(path: Path, rollout: Rollout, advantages: Advantages) -> None:
    """Keep a rollout as Parquet, one row a completion, with the advantages it was trained with."""
    rows = [
        {
            "problem": problem.id,
            "source": source,
            "question": problem.question,
            "gold": problem.answer,
            "prompt_ids": prompt,
            "completion": completion.text,
            "token_ids": completion.token_ids,
            "logprobs": completion.logprobs,
            "finish_reason": completion.finish_reason,
            "reward": verdict.reward,
            "extracted": verdict.extracted,
            "reason": verdict.reason,
            "advantage": advantage,
            "policy_step": rollout.policy_step,
            **{f"reward/{name}": float(x[g, i]) for name, x in rollout.by_function.items()},
        }
        for g, (problem, source, prompt, completions, verdicts, group) in enumerate(
            zip(
                rollout.problems,
                rollout.sources,
                rollout.prompts,
                rollout.completions,
                rollout.verdicts,
                advantages,
                strict=True,
            )
        )
        for i, (completion, verdict, advantage) in enumerate(
            zip(completions, verdicts, group, strict=True)
        )
    ]
    with whole_file(path) as temporary:
        pandas.DataFrame(rows).to_parquet(temporary, index=False)


def show_completions(rollout: Rollout, count: int) -> None:
    """Print some completions with their verdicts, from the first groups with mixed rewards."""
    table = Table(title=f"step {rollout.step}", show_lines=True)
    for heading in ("problem", "completion", "answer", "gold", "reward", "why"):
        table.add_column(heading, overflow="fold")
    order = sorted(range(len(rollout.problems)), key=lambda g: not bool(rollout.mixed[g]))
    rows = [(g, i) for g in order for i in range(len(rollout.completions[g]))][:count]
    for g, i in rows:
        problem, verdict = rollout.problems[g], rollout.verdicts[g][i]
        texts = (
            problem.question,
            rollout.completions[g][i].text.strip(),
            verdict.extracted or "",
            problem.answer,
        )
        table.add_row(*map(escape, texts), str(verdict.reward), escape(verdict.reason))
    Console(file=sys.stderr).print(table)
