"""The result of an evaluation: numbers in results.json, every completion in samples.parquet."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pandas
from rich.console import Console
from rich.table import Table

from common.errors import UserError
from common.files import whole_folder, write_text
from eval.intervals import Estimate, mean_interval
from eval.passk import pass_at_k


def summarize(
    samples: pandas.DataFrame,
    ks: Sequence[int],
    *,
    model: str,
    adapter: str | None,
    data: str,
    seed: int,
    temperature: float,
) -> dict[str, Any]:
    """The content of results.json; samples have n rows for each problem."""
    n = int(samples["sample"].max()) + 1
    right = right_counts(samples)
    return {
        "model": model,
        "adapter": adapter,
        "data": data,
        "n_problems": len(right),
        "n_samples": n,
        "temperature": temperature,
        "pass_at_k": {
            str(k): dataclasses.asdict(mean_interval(pass_at_k(n, right, k))) for k in ks
        },
        "maj_at_k": {str(n): dataclasses.asdict(mean_interval(majority_right(samples)))},
        "truncated": float(samples["truncated"].mean()),
        "no_answer": float(samples["extracted"].isna().mean()),
        "mean_tokens": float(samples["tokens"].mean()),
        "seed": seed,
    }


def right_counts(samples: pandas.DataFrame) -> numpy.ndarray:
    """How many samples of each problem are right, in the order of the problems."""
    return samples.groupby("problem", sort=False)["reward"].sum().to_numpy()


def majority_right(samples: pandas.DataFrame) -> numpy.ndarray:
    """For each problem 1.0 if the commonest answer is right; completions without one abstain."""
    votes = []
    for _, group in samples.groupby("problem", sort=False):
        answers = group["read_as"].fillna(group["extracted"])
        counted = Counter(answer for answer in answers if isinstance(answer, str))
        if not counted:
            votes.append(0.0)
            continue
        winner = counted.most_common(1)[0][0]
        votes.append(float(group["reward"][answers == winner].iloc[0]))
    return numpy.array(votes)


def save_result(folder: str | Path, results: dict[str, Any], samples: pandas.DataFrame) -> None:
    """Write results.json and samples.parquet, both or neither."""
    with whole_folder(folder) as temporary:
        samples.to_parquet(temporary / "samples.parquet", index=False)
        write_text(temporary / "results.json", json.dumps(results, indent=2) + "\n")


def load_result(folder: str | Path) -> tuple[dict[str, Any], pandas.DataFrame]:
    """Read what `save_result` wrote; raises UserError where there is none."""
    folder = Path(folder)
    if folder.name == "results.json":
        folder = folder.parent
    try:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        samples = pandas.read_parquet(folder / "samples.parquet")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: no evaluation result can be read here ({error})") from error
    return results, samples


def print_results(columns: dict[str, dict[str, Any]]) -> None:
    """A table on the terminal: a column for each result."""
    first = next(iter(columns.values()))
    table = Table(title=f"{first['data']}: {first['n_problems']} problems × {first['n_samples']}")
    table.add_column("95% intervals over problems")
    for name in columns:
        table.add_column(name, justify="right")
    for k in first["pass_at_k"]:
        cells = [
            str(Estimate(**r["pass_at_k"][k])) for r in columns.values() if k in r["pass_at_k"]
        ]
        table.add_row(f"pass@{k}", *cells)
    table.add_row(
        f"maj@{first['n_samples']}",
        *(str(Estimate(**next(iter(r["maj_at_k"].values())))) for r in columns.values()),
    )
    for key, title in (("truncated", "truncated"), ("no_answer", "no answer")):
        table.add_row(title, *(f"{r[key]:.1%}" for r in columns.values()))
    table.add_row("mean tokens", *(f"{r['mean_tokens']:.1f}" for r in columns.values()))
    Console().print(table)
