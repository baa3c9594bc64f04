"""Sample every problem n times and check every completion."""

import dataclasses
from collections.abc import Sequence

import pandas

from common.progress import progress_bar
from data import Problem, PromptTemplate
from eval.journal import Journal
from rewards import Checker
from sampling import Sampler

AT_ONCE = 512  # completions: enough to keep a GPU busy, and what a death costs


@dataclasses.dataclass(frozen=True, slots=True)
class Protocol:
    """How problems are sampled. `temperature` 0 is greedy."""

    n: int
    temperature: float = 1.0
    max_tokens: int = 512
    seed: int = 0
    top_p: float = 1.0
    top_k: int = 0


def sample_problems(
    sampler: Sampler,
    problems: Sequence[Problem],
    template: PromptTemplate,
    checker: Checker,
    protocol: Protocol,
    *,
    quiet: bool = False,
    journal: Journal | None = None,
) -> pandas.DataFrame:
    """One row a completion, n rows a problem, in the order of the problems.

    Columns: problem, level, source, question, gold, sample, completion, tokens, truncated, reward,
    extracted, read_as, reason. A `journal` keeps what is done, and gives it back after a death.
    """
    rows: list[dict] = list(journal.rows) if journal else []
    done = len(rows) // protocol.n
    with progress_bar(quiet=quiet) as progress:
        task = progress.add_task("evaluating", total=len(problems), completed=done, note="")
        while done < len(problems):
            part = problems[done : done + max(1, AT_ONCE // protocol.n)]
            fresh = _sample_part(sampler, part, template, checker, protocol)
            if journal:
                journal.add(fresh)
            rows += fresh
            done += len(part)
            right = sum(row["reward"] for row in rows) / len(rows)
            progress.update(task, completed=done, note=f"right {right:.1%}")
    return pandas.DataFrame(rows)


def _sample_part(
    sampler: Sampler,
    problems: Sequence[Problem],
    template: PromptTemplate,
    checker: Checker,
    protocol: Protocol,
) -> list[dict]:
    groups = sampler.sample(
        [template.encode(problem.question) for problem in problems],
        protocol.n,
        protocol.temperature,
        protocol.max_tokens,
        protocol.seed,
        top_p=protocol.top_p,
        top_k=protocol.top_k,
    )
    pairs = [(problem, c) for problem, g in zip(problems, groups, strict=True) for c in g]
    verdicts = checker.check_many((c.text, problem.answer) for problem, c in pairs)
    return [
        {
            "problem": problem.id,
            "level": problem.level,
            "source": problem.source,
            "question": problem.question,
            "gold": problem.answer,
            "sample": index % protocol.n,
            "completion": c.text,
            "tokens": len(c.token_ids),
            "truncated": c.finish_reason == "length",
            "reward": verdict.reward,
            "extracted": verdict.extracted,
            "read_as": verdict.read_as,
            "reason": verdict.reason,
        }
        for index, ((problem, c), verdict) in enumerate(zip(pairs, verdicts, strict=True))
    ]
