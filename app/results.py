"""The evaluation results under a runs folder, and two of them side by side."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas

from app.runs import within
from common.errors import UserError
from eval.result import load_result

NEEDED = ("problem", "question", "gold", "completion", "truncated", "reward", "reason")
FILES = ("results.json", "samples.parquet")
KINDS = ("all", "fixed", "broken", "both right", "both wrong", "truncated")


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A result folder, by a label that a user can choose."""

    label: str
    folder: Path


def find_results(runs: Path) -> list[Found]:
    """Every `RUN/eval/SET/CHECKPOINT` with a result, those of the newest run first."""
    if not runs.is_dir():
        return []
    folders = [f.parent for f in runs.glob("*/eval/*/*/results.json")]
    folders = [f for f in folders if all(within(f / name, runs) for name in FILES)]
    folders.sort(key=lambda f: (f.parents[2].name, f.parent.name, f.name))
    folders.sort(key=lambda f: f.parents[2].stat().st_mtime, reverse=True)
    return [Found(f"{f.parents[2].name}: {f.parent.name}, {f.name}", f) for f in folders]


def chosen(runs: Path, label: str | None) -> tuple[dict[str, Any], pandas.DataFrame]:
    """The result of a label; raises UserError for a label that is not there."""
    for found in find_results(runs):
        if found.label == label:
            try:
                return _whole(load_result(found.folder))
            except UserError as error:
                raise UserError(f"{label}: this evaluation result cannot be read") from error
    raise UserError("choose two evaluation results first")


def _whole(
    result: tuple[dict[str, Any], pandas.DataFrame],
) -> tuple[dict[str, Any], pandas.DataFrame]:
    """The result, if all is there that the page shows of it; else a UserError."""
    results, samples = result
    keys = isinstance(results, dict) and {"data", "n_samples", "pass_at_k"} <= results.keys()
    if not keys or not set(NEEDED) <= set(samples.columns):
        raise UserError("something is missing")
    return result


def problem_table(a: pandas.DataFrame, b: pandas.DataFrame, kind: str) -> pandas.DataFrame:
    """The problems of two results with both rates right, those of one kind."""
    rates = [s.groupby("problem", sort=False)["reward"].mean() for s in (a, b)]
    cut = [s.groupby("problem", sort=False)["truncated"].any() for s in (a, b)]
    first = a.drop_duplicates("problem").set_index("problem")
    table = pandas.DataFrame(
        {"A": rates[0], "B": rates[1], "gold": first["gold"], "question": first["question"]}
    )
    keep = {
        "all": table["A"] >= 0,
        "fixed": table["B"] > table["A"],
        "broken": table["B"] < table["A"],
        "both right": (table["A"] == 1) & (table["B"] == 1),
        "both wrong": (table["A"] == 0) & (table["B"] == 0),
        "truncated": cut[0] | cut[1],
    }[kind]
    table = table[keep].copy()
    table["question"] = table["question"].str.slice(0, 160)
    return table.reset_index().round({"A": 3, "B": 3})
