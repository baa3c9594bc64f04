"""`python benchmarks/check.py [--update] [--data FOLDER]`: has a lead over a peer become smaller?

Runs the quick benchmarks again and compares their ratios to peers with those kept for this kind of
machine in benchmarks/baselines/KIND.json. Names each that fell by more than 15% and then exits with
1; `--update` keeps the new ones instead. Ratios, as seconds differ from machine to machine. FOLDER
holds gsm8k_train.jsonl and math500_test.jsonl; without it the checker is tried on synthetic
problems only. Three minutes on two cores, and four more where `make demo` has not been run.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import tempfile
from typing import Any

from benchmarks.peers import version
from common.errors import OneLineParser, UserError, run_command

BASELINES = Path(__file__).parent / "baselines"
ALLOWED = 0.15  # of a ratio
DATA = ("gsm8k_train.jsonl", "math500_test.jsonl")
Baselines = dict[str, dict[str, Any]]  # by name of the ratio: ratio, command, date, versions


def machine_kind() -> str:
    """What decides a ratio on a machine: its accelerator, or how many cores it has."""
    import torch

    if torch.cuda.is_available():
        return "gpu-" + "-".join(torch.cuda.get_device_name().lower().split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"cpu-{cores}-cores"


def commands(data: Path | None, start: str) -> dict[str, list[list[str]]]:
    """The quick benchmarks by name, each with its calls."""
    checker = [["checker.py"]]
    if data:
        checker.append(["checker.py", *(str(data / name) for name in DATA)])
    fast = ["--backends", "transformers,torch", "--repeat", "3"]
    return {
        "checker": checker,
        "sampling": [["sampling.py", start, *fast]],
        "grpo_step": [["grpo_step.py", "toy", "--steps", "9", "--samples", "0"]],
    }


def versions() -> dict[str, str]:
    """What a ratio depends on besides the machine and our own code."""
    ours = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
    peers = {name: version(name) for name in ("trl", "math-verify")}
    return {"python": platform.python_version(), **ours, **peers}


def measure(words: list[str]) -> Baselines:
    """The ratios of one call, each with how it was measured."""
    shown = ["python", f"benchmarks/{words[0]}", *(Path(w).name if w.endswith("jsonl") else w
                                                  for w in words[1:])]  # fmt: skip
    print("\n" + " ".join(shown), flush=True)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "ratios.json"
        script = str(Path(__file__).with_name(words[0]))
        done = subprocess.run([sys.executable, script, *words[1:], "--json", str(file)])
        if done.returncode:
            raise UserError(f"{words[0]} ended with code {done.returncode}; why is said above")
        ratios = json.loads(file.read_text())
    same = {"command": " ".join(shown), "date": str(datetime.date.today()), "versions": versions()}
    return {name: {"ratio": round(ratio, 3), **same} for name, ratio in ratios.items()}


def differences(kept: Baselines, found: Baselines) -> tuple[list[str], list[str]]:
    """A line for each ratio, and of these the ones that fell by more than is allowed."""
    lines, fallen = [], []
    for name in sorted({*kept, *found}):
        before = kept[name]["ratio"] if name in kept else None
        now = found[name]["ratio"] if name in found else None
        if now is None:
            lines.append(f"{name}: {before:.2f}, not measured now")
        elif before is None:
            lines.append(f"{name}: {now:.2f}, not kept so far")
        else:
            change = now / before - 1
            lines.append(f"{name}: {before:.2f} → {now:.2f} ({change:+.0%})")
            if change < -ALLOWED:
                fallen.append(f"{name} fell by {-change:.0%}, from {before:.2f} to {now:.2f}")
    return lines, fallen


def baseline_file(folder: Path, kind: str, *, update: bool) -> Path:
    """Where the ratios of this kind of machine are kept; raises UserError where nowhere."""
    file = folder / f"{kind}.json"
    if not file.is_file() and not update:
        known = ", ".join(sorted(one.stem for one in folder.glob("*.json"))) or "none"
        raise UserError(
            f"no ratios are kept for this kind of machine, {kind} (kept: {known}); keep some with "
            "make bench-check UPDATE=1"
        )
    return file


def judged(file: Path, found: Baselines, *, update: bool) -> int:
    """Print what became of the ratios, keep them if asked to; the exit code."""
    kept: Baselines = json.loads(file.read_text()) if file.is_file() else {}
    lines, fallen = differences(kept, found)
    print("\n" + "\n".join(lines))
    if update:
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(dict(sorted({**kept, **found}.items())), indent=2) + "\n")
        print(f"kept in {file.name}")
        return 0
    print("\n".join(fallen) if fallen else f"none fell by more than {ALLOWED:.0%}")
    return 1 if fallen else 0


def read_options(argv: list[str]) -> argparse.Namespace:
    parser = OneLineParser(prog="python benchmarks/check.py", description="Ratios kept and now.")
    parser.add_argument("--update", action="store_true", help="keep the new ratios")
    parser.add_argument("--data", type=Path, help="a folder with " + " and ".join(DATA))
    parser.add_argument("--only", default="", help="checker, sampling, grpo_step: some of them")
    options = parser.parse_args(argv)
    options.only = options.only.split(",") if options.only else [*commands(None, "")]
    if unknown := set(options.only) - {*commands(None, "")}:
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    if options.data and (missing := [n for n in DATA if not (options.data / n).is_file()]):
        parser.error(f"--data: {options.data} has no {missing[0]}")
    return options


def main(argv: list[str]) -> None:
    options = read_options(argv)
    file = baseline_file(BASELINES, machine_kind(), update=options.update)
    from train.story import STORIES
    from train.walkthrough import make_start

    start = make_start(STORIES["tiny"], Path("runs/base-seed0"), 0).base
    found: Baselines = {}
    for name, calls in commands(options.data, str(start)).items():
        for words in calls if name in options.only else ():
            found |= measure(words)
    if code := judged(file, found, update=options.update):
        sys.exit(code)


if __name__ == "__main__":
    run_command(main)
