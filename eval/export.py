"""Samples in the form in which lm-evaluation-harness logs them, a JSON line each."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas

from common.files import write_text
from data import Problem, PromptTemplate
from eval.samples import by_problem


def export_samples(
    path: Path, samples: pandas.DataFrame, problems: Sequence[Problem], template: PromptTemplate
) -> None:
    """Write one line a problem: document, prompt, responses, what was extracted, exact_match."""
    lines = []
    for number, (problem, group) in enumerate(zip(problems, by_problem(samples), strict=True)):
        lines.append(
            {
                "doc_id": number,
                "doc": {"id": problem.id, "question": problem.question, "answer": problem.answer},
                "target": problem.answer,
                "arguments": [[template.render(problem), {"until": []}]],
                "resps": [group["completion"].tolist()],
                "filtered_resps": [answer or "" for answer in group["extracted"]],
                "exact_match": float(group["reward"].mean()),
            }
        )
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
