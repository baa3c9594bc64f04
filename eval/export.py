"""Samples in the form in which lm-evaluation-harness logs them, a JSON line each."""

import json
from pathlib import Path

import pandas

from common.files import write_text
from data import PromptTemplate


def export_samples(path: Path, samples: pandas.DataFrame, template: PromptTemplate) -> None:
    """Write one line a problem: document, prompt, responses, what was extracted, exact_match."""
    lines = []
    for number, (problem, group) in enumerate(samples.groupby("problem", sort=False)):
        first = group.iloc[0]
        lines.append(
            {
                "doc_id": number,
                "doc": {"id": problem, "question": first["question"], "answer": first["gold"]},
                "target": first["gold"],
                "arguments": [[template.render(first["question"]), {"until": []}]],
                "resps": [group["completion"].tolist()],
                "filtered_resps": [answer or "" for answer in group["extracted"]],
                "exact_match": float(group["reward"].mean()),
            }
        )
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
