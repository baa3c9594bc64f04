"""`python benchmarks/scaling.py BASE [STEPS]`: how much of a step several processes can share.

The same run by 1, 2 and 4 processes of torchrun (gloo, one thread each). Printed for each: seconds a
step, and those of its parts; the share that is not parallel, by Karp and Flatt's measure

    e = (1/s − 1/p) / (1 − 1/p),    s = T(1) / T(p),

which counts what every rank does for itself, waiting and talking alike. It says something only up to
the number of cores. Then, by arithmetic (Amdahl: 1 / (e + (1 − e) / p)), what 8 and 64 would reach.
"""

import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import json
import subprocess
import tempfile

from train.config import TrainConfig, check_config, to_toml

COUNTS = (1, 2, 4)
WARM_UP = 2  # steps that are not counted


def config(base: str, folder: Path, steps: int) -> Path:
    """A run whose steps are long enough to be shared."""
    raw = {
        "run": {
            "dir": str(folder / "run"),
            "steps": steps,
            "save_every": steps,
            "save_rollouts": False,
        },
        "model": {"path": base},
        "lora": {"rank": 32, "alpha": 64},
        "data": {"train": "synth:train,n=4000"},
        "sampling": {"backend": "torch", "max_tokens": 96},
        "rollout": {"prompts": 32, "completions": 16},
        "optimizer": {"lr": 1e-4},
    }
    file = folder / "c.toml"
    file.write_text(to_toml(check_config(TrainConfig, raw, where="benchmark")))
    return file


def seconds(base: str, count: int, steps: int) -> dict[str, float]:
    """Seconds of a step and of its parts, by rank 0's clock, with `count` processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = config(base, folder, steps)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        subprocess.run(
            [*command, "--nproc-per-node", str(count), "-m", "train", str(file)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": sys.path[0]},
            check=True,
            stderr=subprocess.DEVNULL,
        )
        text = (folder / "run" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()][WARM_UP:]
    tokens = sum(x["completion/mean_tokens"] * 512 for x in lines)
    parts = {
        part: sum(x[f"time/{part}_s"] for x in lines) / len(lines)
        for part in ("sample", "reward", "train")
    }
    return {"step": sum(parts.values()), **parts, "tokens": tokens / len(lines)}


def main(base: str, steps: int) -> None:
    found = {count: seconds(base, count, steps) for count in COUNTS}
    cores = os.cpu_count() or 1
    alone = found[1]["step"]
    print(f"{cores} cores; {found[1]['tokens']:.0f} tokens a step")
    print("processes  s a step  sampling  checking  training  speed-up  not parallel")
    share = 0.0
    for count, one in found.items():
        speed_up = alone / one["step"]
        told = "–"
        if 1 < count <= cores:
            share = (1 / speed_up - 1 / count) / (1 - 1 / count)
            told = f"{share:.1%}"
        elif count > cores:
            told = "more than cores"
        print(
            f"{count:9d} {one['step']:9.2f} {one['sample']:9.2f} {one['reward']:9.2f} "
            f"{one['train']:9.2f} {speed_up:9.2f}  {told}"
        )
    share = max(0.0, share)
    for count in (8, 64):
        print(f"by Amdahl's law {count} processes: {1 / (share + (1 - share) / count):.1f} times")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8)
