"""The result of an evaluation: numbers in results.json, every completion in samples.parquet."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pandas
from rich.console import Console
from rich.table import Table

from common.errors import UserError
from common.files import whole_folder, write_text
from eval.files import RESULT
from eval.intervals import Estimate, mean_interval
from eval.passk import all_right_at_k, pass_at_k
from eval.samples import right_counts
from eval.votes import majority_right

Result = tuple[dict[str, Any], pandas.DataFrame]  # results.json and samples.parquet

NEEDED_KEYS = ("model", "data", "n_problems", "n_samples", "pass_at_k", "maj_at_k", "mean_tokens")
NEEDED_COLUMNS = ("problem", "question", "gold", "sample", "completion", "reward", "extracted")


def summarize(
    samples: pandas.DataFrame,
    ks: Sequence[int],
    *,
    model: str,
    adapter: str | None,
    data: str,
    **asked: Any,
) -> dict[str, Any]:
    """The content of results.json; samples have n rows for each problem.

    `asked` (template, shots, temperature, max_tokens, …) is kept with it: results are compared
    only where it is the same. `strict_pass_at_k` counts marked answers alone, of the same samples.
    """
    n = int(samples["sample"].max()) + 1
    right, marked = right_counts(samples), right_counts(samples, "strict")
    votes = sorted({k for k in ks if k > 1} | {n})
    return {
        "model": model,
        "adapter": adapter,
        "data": data,
        "n_problems": len(right),
        "n_samples": n,
        **asked,
        "intervals": "95% over problems: Clopper-Pearson where n = 1, else Student t",
        "pass_at_k": {str(k): _estimate(pass_at_k(n, right, k), n) for k in ks},
        "strict_pass_at_k": {str(k): _estimate(pass_at_k(n, marked, k), n) for k in ks},
        "all_right_at_k": {str(k): _estimate(all_right_at_k(n, right, k), n) for k in ks},
        "maj_at_k": {str(k): _estimate(majority_right(samples, k), 1) for k in votes},
        "truncated": float(samples["truncated"].mean()),
        "no_answer": float(samples["extracted"].isna().mean()),
        "mean_tokens": float(samples["tokens"].mean()),
        "mean_tokens_right": _mean(samples["tokens"][samples["reward"] == 1]),
        "mean_tokens_wrong": _mean(samples["tokens"][samples["reward"] == 0]),
        "by_level": _by(samples, "level", n),
        "by_source": _by(samples, "source", n),
    }


def _estimate(values: numpy.ndarray, n: int) -> dict[str, float]:
    return dataclasses.asdict(mean_interval(values, exact=n == 1))


def _mean(values: pandas.Series) -> float | None:
    return float(values.mean()) if len(values) else None


def _by(samples: pandas.DataFrame, column: str, n: int) -> dict[str, Any]:
    """pass@1 for each value of a column, where the data has more than one."""
    if column not in samples or samples[column].nunique() < 2:
        return {}
    return {
        str(value): {"n_problems": len(part) // n, **_estimate(right_counts(part) / n, n)}
        for value, part in samples.groupby(column, sort=True)
    }


def save_result(
    folder: str | Path,
    results: dict[str, Any],
    samples: pandas.DataFrame,
    more: Callable[[Path], None] | None = None,
) -> None:
    """Write results.json and samples.parquet, and what `more` writes, all or nothing.

    Raises UserError where `folder` holds anything but an earlier result.
    """
    with whole_folder(folder, RESULT) as temporary:
        samples.to_parquet(temporary / "samples.parquet", index=False)
        write_text(temporary / "results.json", json.dumps(results, indent=2) + "\n")
        if more:
            more(temporary)


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
    lacking = [k for k in NEEDED_KEYS if not isinstance(results, dict) or k not in results]
    lacking += [column for column in NEEDED_COLUMNS if column not in samples]
    if lacking:
        raise UserError(f"{folder}: this is no evaluation result ({lacking[0]} is missing)")
    return results, samples


def print_results(columns: dict[str, dict[str, Any]]) -> None:
    """A table on the terminal: a column for each result."""
    first = next(iter(columns.values()))
    table = Table(title=f"{first['data']}: {first['n_problems']} problems × {first['n_samples']}")
    table.add_column("95% intervals over problems")
    for name in columns:
        table.add_column(name, justify="right")
    for key, title in (("pass_at_k", "pass"), ("strict_pass_at_k", "marked"), ("maj_at_k", "maj")):
        for k in first.get(key, {}):
            cells = [r.get(key, {}).get(k) for r in columns.values()]
            table.add_row(
                f"{title}@{k}", *("–" if e is None else str(Estimate(**e)) for e in cells)
            )
    for key, title in (("truncated", "truncated"), ("no_answer", "no answer")):
        table.add_row(title, *(f"{r[key]:.1%}" for r in columns.values()))
    for key in ("mean_tokens", "mean_tokens_right", "mean_tokens_wrong"):
        cells = [r.get(key) for r in columns.values()]
        table.add_row(key.replace("_", " "), *("–" if x is None else f"{x:.1f}" for x in cells))
    for level in first.get("by_level", {}):
        rows = [r.get("by_level", {}).get(level) for r in columns.values()]
        cells = [f"{x['mean']:.3f} ({x['n_problems']})" if x else "–" for x in rows]
        table.add_row(f"pass@1, level {level}", *cells)
    Console().print(table)
    if first.get("strict_pass_at_k"):
        print("marked: the answer in a box, after #### or after words such as 'the answer is'")
