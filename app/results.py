"""The evaluation results the page can show: of the runs, and of folders named besides."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pandas

from app.files import is_file, read_table, read_text
from app.runs import STEP, Library
from common.errors import UserError

NEEDED = ("problem", "question", "gold", "completion", "reward")
OPTIONAL = {"truncated": False, "extracted": None, "read_as": None, "reason": "", "level": None,
            "source": None, "tokens": 0}  # fmt: skip
FILES = ("results.json", "samples.parquet")
DEEPEST = 5  # folders between a named folder and a result in it
KEPT = 12  # results in memory

Result = tuple[dict[str, Any], pandas.DataFrame]


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A result folder, by a label that a user can choose."""

    label: str
    folder: Path
    root: Path  # the folder that nothing may be read outside of
    group: str  # results of one run and set belong together
    name: str  # the checkpoint

    @property
    def step(self) -> int | None:
        """The training step: 0 for the base, None where the name tells none."""
        if self.name == "base":
            return 0
        found = STEP.fullmatch(self.name)
        return int(found[1]) if found else None


def find_results(library: Library) -> list[Found]:
    """Every `RUN/eval/SET/CHECKPOINT` with a result, those of the newest run first; then every
    other result under the runs folder or a folder named with --results."""
    found: dict[Path, Found] = {}
    for run in library.find_runs():
        for file in run.folder.glob("eval/*/*/results.json"):
            if _whole_result(file.parent, run.folder):
                data, name = file.parent.parent.name, file.parent.name
                label = f"{run.name}: {data}, {name}"
                group = f"{run.name}: {data}"
                found[file.parent.resolve()] = Found(label, file.parent, run.folder, group, name)
    ordered = list(found.values())
    ordered.sort(key=lambda f: (f.step is None, f.step or 0, f.name))
    ordered.sort(key=lambda f: f.group)
    newest = {run.folder: place for place, run in enumerate(library.find_runs())}
    ordered.sort(key=lambda f: newest[f.root])
    for root in [*library.results, library.runs]:
        for folder in _results_below(root):
            if folder.resolve() not in found and _whole_result(folder, root):
                name = str(folder.relative_to(root)) if folder != root else root.name
                group = f"{root}: {folder.parent.name}"
                one = Found(f"{root.name}/{name}", folder, root, group, folder.name)
                found[folder.resolve()] = one
                ordered.append(one)
    return ordered


def _results_below(root: Path) -> list[Path]:
    """The folders with a results.json at most `DEEPEST` below `root`."""
    if not root.is_dir():
        return []
    patterns = ["*/" * depth + "results.json" for depth in range(DEEPEST + 1)]
    return [file.parent for pattern in patterns for file in sorted(root.glob(pattern))]


def _whole_result(folder: Path, root: Path) -> bool:
    return all(is_file(folder / name, root) for name in FILES)


def find(library: Library, label: str) -> Found:
    """The result of a label; raises UserError for a label that is not there."""
    for found in find_results(library):
        if found.label == label:
            return found
    raise UserError("choose two evaluation results first")


def load(found: Found) -> Result:
    """A result, made sure of; the last few are kept in memory. Raises UserError."""
    try:
        stamps = [(found.folder / name).stat() for name in FILES]
    except OSError as error:
        raise UserError(f"{found.label} is no longer there; reload the page") from error
    return _load(found, tuple((s.st_size, s.st_mtime_ns) for s in stamps))


@functools.lru_cache(maxsize=KEPT)
def _load(found: Found, _stamp: Any) -> Result:
    try:
        results = json.loads(read_text(found.folder / "results.json", found.root))
        samples = read_table(found.folder / "samples.parquet", found.root)
        return _checked(results, samples)
    except (UserError, ValueError, TypeError, KeyError, RecursionError) as error:
        why = f" ({error})" if isinstance(error, UserError) else ""
        raise UserError(f"{found.label}: this evaluation cannot be read{why}") from error


def _checked(results: Any, samples: pandas.DataFrame) -> Result:
    """The result, if all is there that the page shows of it; else a UserError."""
    if not isinstance(results, dict) or not isinstance(results.get("pass_at_k"), dict):
        raise UserError("results.json lacks pass_at_k")
    missing = [name for name in NEEDED if name not in samples]
    if missing or samples.empty:
        raise UserError(f"samples.parquet lacks {', '.join(missing) or 'rows'}")
    if samples["problem"].isna().any() or not samples["reward"].isin([0, 1]).all():
        raise UserError("samples.parquet holds rewards that are neither 0 nor 1")
    for name, value in OPTIONAL.items():
        if name not in samples:
            samples[name] = value
    samples["problem"] = _told_apart(samples)
    sizes = samples.groupby("problem", sort=False).size()
    n = int(sizes.iloc[0])
    if (sizes != n).any() or results.get("n_samples") != n:
        raise UserError("results.json and samples.parquet hold different numbers of samples")
    if not all(k.isascii() and k.isdigit() and 1 <= int(k[:9]) <= n for k in results["pass_at_k"]):
        raise UserError("results.json holds a k that is no number of samples")
    samples["reward"] = samples["reward"].astype(int)
    return {"data": "", **results}, samples


def _told_apart(samples: pandas.DataFrame) -> pandas.Series:
    """The problem's name in each row: its id, with a number where other problems share it.

    The rows of a problem lie together, its first sample first; so two problems are two, whatever
    their ids say.
    """
    told = samples[["problem", "question", "gold"]].astype(str)
    begins = (told != told.shift()).any(axis=1)
    if pandas.api.types.is_integer_dtype(samples.get("sample", pandas.Series(dtype=str))):
        begins |= samples["sample"] == 0
    numbers = begins.cumsum()
    names = told["problem"].groupby(numbers).first()
    while names.duplicated().any():
        again = names.groupby(names).cumcount()
        names = names.where(again == 0, names + " (" + (again + 1).astype(str) + ")")
    return numbers.map(names)


def rates(samples: pandas.DataFrame) -> pandas.Series:
    """The share of right samples of each problem, in the order of the problems."""
    return samples.groupby("problem", sort=False)["reward"].mean()
