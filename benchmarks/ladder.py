"""`python benchmarks/ladder.py BASE OUT [STEPS [SEEDS [WORKERS]]]`: every algorithm, one task.

Each algorithm trains from the same tiny base (a folder, as `make demo` leaves one in runs/) on the
same prompts with the same sampling budget, then 500 held-out problems × 16 samples. Writes
OUT/ladder.md (a table), OUT/ladder.png (rewards over the steps) and OUT/ladder.json. Finished runs
in OUT are kept: killed and started again, it goes on. With two workers on two cores each trains on
one thread, so seconds a step are those of one core.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)

from benchmarks.ladder_report import report
from benchmarks.ladder_table import LADDER, QUESTIONS
from common.files import write_text

HELD_OUT = "synth:heldout,n=500,seed=0"


def command(base: str, folder: Path, name: str, steps: int, seed: int) -> list[str]:
    """The training command of one run."""
    settings = {
        "algorithm.name": name.split(",")[0],
        "run.dir": folder,
        "run.steps": steps,
        "run.save_every": steps,
        "run.seed": seed,
        "run.save_rollouts": "false",
        "model.path": base,
        "lora.rank": 32,
        "lora.alpha": 64,
        "data.train": "synth:train,n=20000,seed=1",
        "sampling.backend": "torch",
        "sampling.max_tokens": 80,
        "rollout.prompts": 16,
        "rollout.completions": 16,
        "optimizer.lr": 1e-3,
        "optimizer.warmup_steps": min(3, steps),
        **(LADDER | QUESTIONS)[name],
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    return [sys.executable, "-m", "train", str(folder.parent / "empty.toml"), *words]


def run(base: str, out: Path, name: str, steps: int, seed: int, threads: int) -> None:
    """Train and evaluate one run, in processes of their own, unless it is there."""
    folder = out / f"{name.replace(', ', '-').replace(' ', '_')}-seed{seed}"
    if not (folder / "checkpoints").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        process(command(base, folder, name, steps, seed), threads)
    adapter = folder / "checkpoints" / f"step_{steps:06d}"
    evaluate(base, ["--adapter", str(adapter)], folder / "held_out", threads)
    print(f"{name}, seed {seed}: done", flush=True)


def evaluate(base: str, more: list[str], out: Path, threads: int) -> None:
    """The held-out problems, unless they are done."""
    if (out / "results.json").is_file():
        return
    words = ["--model", base, "--data", HELD_OUT, *more, "--n", "16", "--k", "1,8"]
    words += ["--max-tokens", "80", "--out", str(out)]
    process([sys.executable, "-m", "eval", *words], threads)


def process(words: list[str], threads: int) -> None:
    """Run a command; says what it printed if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr[-2000:]}")


def main(base: str, out: str, steps: int = 40, seeds: int = 3, workers: int = 2) -> None:
    base, folder = str(Path(base).resolve()), Path(out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "empty.toml", "")
    threads = max(1, (os.cpu_count() or 2) // workers)
    evaluate(base, [], folder / "base", threads * workers)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        tasks = [
            pool.submit(run, base, folder, name, steps, seed, threads)
            for names in (LADDER, QUESTIONS)
            for seed in range(seeds)
            for name in names
        ]
        for task in tasks:
            task.result()
    report(base, folder)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
