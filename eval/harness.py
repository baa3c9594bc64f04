"""Sample every problem n times and check every completion."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import pandas

from common import ranks
from common.errors import UserError
from common.progress import progress_bar
from data import Problem, PromptTemplate
from data.problem import with_unique_ids
from eval.journal import Journal
from eval.judge import judge
from eval.request import check_ks
from eval.result import Result, summarize
from rewards import Checker
from sampling import Completion, Sampler, SamplingParams

NO_ROOM = Completion("", [], [], "length")  # to a prompt that fills the context
UNMARKED = "unmarked"  # the checker's rule for a last number that nothing marks as the answer
AT_ONCE = 512  # completions: enough to keep a GPU busy, and what a death costs


def evaluate(
    sampler: Sampler,
    problems: Sequence[Problem],
    prompt: PromptTemplate,
    checker: Checker,
    params: SamplingParams,
    *,
    n: int,
    ks: Sequence[int],
    model: str,
    adapter: str | None,
    data: str,
    quiet: bool = False,
    journal: Journal | None = None,
) -> Result:
    """Sample each problem n times, check every completion, and sum up; the one way to measure.

    `model`, `adapter` and `data` are names, kept in the results beside all that decides how the
    problems were asked, so that only what was asked alike is compared. Prompts that leave no room
    for an answer count as wrong, with a warning; raises UserError if all are such, or for k > n.
    """
    check_ks(ks, n)
    samples = sample_problems(
        sampler, problems, prompt, checker, params, n, quiet=quiet, journal=journal
    )
    asked = {**prompt.describe(), **dataclasses.asdict(params)}
    return summarize(samples, ks, model=model, adapter=adapter, data=data, **asked), samples


def sample_problems(
    sampler: Sampler,
    problems: Sequence[Problem],
    prompt: PromptTemplate,
    checker: Checker,
    params: SamplingParams,
    n: int,
    *,
    quiet: bool = False,
    journal: Journal | None = None,
) -> pandas.DataFrame:
    """One row a completion, n rows a problem, in the order of the problems.

    Columns: problem, level, source, question, gold, sample, completion, tokens, truncated, reward,
    strict (right, and the answer marked), extracted, read_as, reason. A `journal` keeps what is
    done, and gives it back after a death.
    """
    asked = with_unique_ids(problems)
    prompts = [prompt.encode(problem) for problem in asked]
    _warn_of_overlong(asked, prompts, sampler.context)
    rows: list[dict[str, Any]] = ranks.first(list(journal.rows) if journal else [])
    done = len(rows) // n
    size = max(1, AT_ONCE // n)
    with progress_bar(quiet=quiet) as progress:
        task = progress.add_task("evaluating", total=len(asked), completed=done, note="")
        while done < len(asked):
            part = slice(done, done + size)
            completions = _sample_part(sampler, prompts[part], n, params)
            fresh = _check_part(asked[part], completions, n, checker)
            if journal and ranks.is_first():
                journal.add(fresh)
            rows += fresh
            done += len(asked[part])
            right = sum(row["reward"] for row in rows) / len(rows)
            progress.update(task, completed=done, note=f"right {right:.1%}")
    return pandas.DataFrame(rows)


def _warn_of_overlong(
    problems: Sequence[Problem], prompts: Sequence[list[int]], context: int
) -> None:
    """Say which prompts leave no room for an answer; raises UserError if none leaves any."""
    overlong = [i for i, prompt in enumerate(prompts) if len(prompt) >= context]
    if not overlong:
        return
    first = overlong[0]
    if len(overlong) == len(prompts):
        raise UserError(
            f"no prompt leaves room for an answer: problem {problems[first].id} has "
            f"{len(prompts[first])} tokens, and the context holds {context}"
        )
    print(
        f"warning: {len(overlong)} of {len(prompts)} prompts leave no room for an answer in the "
        f"context of {context} tokens and count as wrong, such as number {first + 1} (problem "
        f"{problems[first].id}, {len(prompts[first])} tokens)",
        file=sys.stderr,
    )


def _sample_part(
    sampler: Sampler, prompts: Sequence[list[int]], n: int, params: SamplingParams
) -> list[list[Completion] | None]:
    """n completions for each prompt; None for one that leaves no room."""
    fitting = [prompt for prompt in prompts if len(prompt) < sampler.context]
    groups = iter(sampler.sample(fitting, n, params) if fitting else [])
    return [next(groups) if len(p) < sampler.context else None for p in prompts]


def _check_part(
    problems: Sequence[Problem],
    groups: Sequence[list[Completion] | None],
    n: int,
    checker: Checker,
) -> list[dict[str, Any]]:
    """The rows of some problems, n each."""
    pairs = [
        (problem, completion)
        for problem, group in zip(problems, groups, strict=True)
        for completion in group or [NO_ROOM] * n
    ]
    verdicts = judge(checker, [(problem, c.text, False) for problem, c in pairs])
    return [
        {
            "problem": problem.id,
            "level": problem.level,
            "source": problem.source,
            "question": problem.question,
            "gold": problem.answer,
            "sample": index % n,
            "completion": c.text,
            "tokens": len(c.token_ids),
            "truncated": c.finish_reason == "length",
            "reward": verdict.reward,
            "strict": int(verdict.reward and verdict.rule != UNMARKED),
            "extracted": verdict.extracted,
            "read_as": verdict.read_as,
            "reason": "the prompt leaves no room for an answer" if c is NO_ROOM else verdict.reason,
        }
        for index, ((problem, c), verdict) in enumerate(zip(pairs, verdicts, strict=True))
    ]
