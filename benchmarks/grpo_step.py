"""`python benchmarks/grpo_step.py [toy | smollm2] [--steps 20 …]`: our GRPO beside TRL's, in one run.

Both begin from the same LoRA weights and take the same problems in the same order, with the same
lengths, reward and optimiser, each in a process of its own. Printed for each seed: steps a minute,
seconds a step for sampling (rewards included) and for all the rest, tokens a second, peak memory,
pass@1 on held-out problems after equal steps with the paired difference, and the ratios. The first
step, which warms up, is not counted. `toy` is the model of `make demo`, `smollm2` SmolLM2-135M after
the fine-tuning of configs/smollm2/sft.toml; both are made where they are missing. `--help` has the
settings, all of which any model and data can be given to.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import argparse
import json
import math
import os
import subprocess
import tempfile

from benchmarks.grpo_side import Measured
from benchmarks.peers import peers_python, version
from common.errors import OneLineParser, UserError, run_command
from data import PromptTemplate, load_problems
from eval.compare import compare
from eval.harness import evaluate
from eval.intervals import Estimate, difference_interval
from eval.result import Result
from models.fetch import MODELS, fetch
from rewards import Checker
from sampling import SamplingParams, load_sampler
from train.config import TrainConfig, check_config
from train.config.load import to_toml
from train.story import STORIES
from train.walkthrough import make_start

SIDES = ("mathgrpo", "trl")
TOY = {"data": "synth:train,n=4000", "held_out": "synth:heldout,n=500,seed=0", "samples": 16,
       "prompts": 16, "completions": 16, "max_tokens": 96, "lora": 32, "lr": 5e-4,
       "steps": 60}  # fmt: skip
SMOLLM2 = {"data": "synth:train,n=4000,seed=1,levels=1-2", "samples": 8,
           "held_out": "synth:heldout,n=120,levels=1-2", "prompts": 8, "completions": 8,
           "max_tokens": 64, "lora": 16, "lr": 2e-4, "steps": 20}  # fmt: skip
PRESETS = {"toy": ("tiny", TOY), "smollm2": ("smollm2", SMOLLM2)}  # the demo's story, settings


def read_options(argv: list[str]) -> argparse.Namespace:
    """The command line, with the preset's settings where it says nothing."""
    parser = OneLineParser(prog="python benchmarks/grpo_step.py", description="GRPO beside TRL's.")
    parser.add_argument("preset", nargs="?", choices=PRESETS, default="toy")
    parser.add_argument("--model", help="a folder, a hub name or " + ", ".join(MODELS))
    parser.add_argument("--adapter", help="a LoRA folder that both begin from; it brings its rank")
    parser.add_argument("--data", help="problems to train on: a file, synth:…")
    parser.add_argument("--held-out", help="problems to measure on")
    parser.add_argument("--samples", type=int, help="for each of them; 0: pass@1 is not measured")
    parser.add_argument("--prompts", type=int, help="a step")
    parser.add_argument("--completions", type=int, help="a prompt")
    parser.add_argument("--max-tokens", type=int, help="of a completion")
    parser.add_argument("--lora", type=int, help="rank; alpha is twice that")
    parser.add_argument("--lr", type=float, help="learning rate, constant")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", default="0", help="such as 0,1")
    parser.add_argument("--backend", choices=("torch", "vllm"), default="torch",
                        help="our sampler; TRL's is transformers.generate")  # fmt: skip
    parser.add_argument("--runs", default="runs", help="where the preset's start is kept")
    parser.add_argument("--json", help="a file for the ratios")
    options = parser.parse_args(argv)
    story, defaults = PRESETS[options.preset]
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    try:
        options.seeds = [int(word) for word in options.seeds.split(",")]
    except ValueError:
        parser.error("--seeds takes numbers with commas between them")
    if options.steps < 2:
        parser.error("--steps: at least 2, as the first is not counted")
    if options.model is None:
        found = Path(options.runs) / f"{STORIES[story].start}-seed0"
        start = make_start(STORIES[story], found, 0)
        options.model = str(start.base)
        options.adapter = options.adapter or (str(start.adapter) if start.adapter else None)
    elif options.model in MODELS:
        options.model = str(fetch(options.model))
    return options


def settings(options: argparse.Namespace, folder: Path, seed: int) -> TrainConfig:
    """The work that both do."""
    eager = {"enforce_eager": True} if options.backend == "vllm" else {}
    raw = {
        "run": {"dir": str(folder), "steps": options.steps, "seed": seed,
                "save_every": options.steps},
        "model": {"path": options.model, "dtype": "float32"},
        "lora": {"rank": options.lora, "alpha": 2 * options.lora},
        "data": {"train": options.data},
        "sampling": {"backend": options.backend, "max_tokens": options.max_tokens,
                     "options": eager},
        "rollout": {"prompts": options.prompts, "completions": options.completions},
        "algorithm": {"loss": "dapo"},
        "optimizer": {"lr": options.lr},
    }  # fmt: skip
    if options.adapter:
        raw["model"]["adapter"] = options.adapter
        del raw["lora"]
    return check_config(TrainConfig, raw, where="benchmark")


def run_side(side: str, python: str, config: TrainConfig, folder: Path) -> Measured:
    """Train one side in a process of its own."""
    (folder / "c.toml").write_text(to_toml(config))
    script = str(Path(__file__).with_name("grpo_side.py"))
    done = subprocess.run(
        [python, script, side, str(folder)],
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        stdout=sys.stderr,
    )
    if done.returncode:
        raise UserError(f"{side} ended with code {done.returncode}; why is said above")
    return Measured(**json.loads((folder / "measured.json").read_text()))


def evaluated(options: argparse.Namespace, adapter: str | None) -> Result:
    """The result on the held-out problems."""
    problems = load_problems(options.held_out)
    with load_sampler("torch", options.model, adapter=adapter) as sampler, Checker() as checker:
        return evaluate(
            sampler,
            problems,
            PromptTemplate(sampler.tokenizer),
            checker,
            SamplingParams(max_tokens=options.max_tokens),
            n=options.samples,
            ks=[1],
            model=options.model,
            adapter=adapter,
            data=options.held_out,
        )


def pass_at_1(result: Result) -> str:
    return str(Estimate(**result[0]["pass_at_k"]["1"]))


def mean(values: list[float]) -> float:
    """The mean after the first step, which warms up."""
    return sum(values[1:]) / (len(values) - 1)


def line_of(side: str, found: Measured, result: Result | None) -> str:
    step, sampling = mean(found.seconds), mean(found.sampling)
    told = f"; pass@1 {pass_at_1(result)}" if result else ""
    return (
        f"{side:<9} {60 / step:6.2f} steps a minute, a step: sampling {sampling:.2f} s, the rest "
        f"{step - sampling:.2f} s; {sum(found.tokens[1:]) / sum(found.seconds[1:]):,.0f} tokens a "
        f"second; peak memory {found.peak_mib:,.0f} MiB{told}"
    )


def same_start(found: dict[str, Measured]) -> bool:
    """Whether both sides began from the same LoRA weights."""
    one, other = (found[side].start for side in SIDES)
    return len(one) == len(other) and all(map(math.isclose, one, other))


def one_seed(options: argparse.Namespace, seed: int) -> tuple[dict[str, float], dict[str, Result]]:
    """Both sides with one seed: the ratios, TRL over ours, and the results on held-out problems."""
    pythons = {"mathgrpo": sys.executable, "trl": peers_python("trl")}
    found: dict[str, Measured] = {}
    results: dict[str, Result] = {}
    for side in SIDES:
        with tempfile.TemporaryDirectory() as name:
            config = settings(options, Path(name) / "run", seed)
            found[side] = run_side(side, pythons[side], config, Path(name))
            if options.samples:
                results[side] = evaluated(options, found[side].adapter)
        print(f"seed {seed}  {line_of(side, found[side], results.get(side))}", flush=True)
    if not same_start(found):
        raise UserError("the two sides did not begin from the same LoRA weights")
    one, other = (found[side] for side in SIDES)
    ratios = {
        "speed": mean(other.seconds) / mean(one.seconds),
        "sampling": mean(other.sampling) / mean(one.sampling),
        "memory": other.peak_mib / one.peak_mib,
    }
    print(
        f"seed {seed}  TRL / mathgrpo: {ratios['speed']:.2f} times the seconds a step "
        f"({ratios['sampling']:.2f} for sampling), {ratios['memory']:.2f} times the memory",
        flush=True,
    )
    return ratios, results


def main(argv: list[str]) -> None:
    options = read_options(argv)
    print(
        f"{options.model}, {options.data}: {options.steps} steps of {options.prompts} × "
        f"{options.completions} completions of at most {options.max_tokens} tokens; "
        f"TRL {version('trl')}; our sampler {options.backend}, {os.cpu_count()} cores",
        flush=True,
    )
    if options.samples:
        print(f"start     pass@1 {pass_at_1(evaluated(options, options.adapter))}", flush=True)
    ratios: list[dict[str, float]] = []
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for seed in options.seeds:
        of_seed, results = one_seed(options, seed)
        ratios.append(of_seed)
        if results:
            paired = compare(results["trl"], results["mathgrpo"]).details[1]
            print(f"seed {seed}  pass@1, mathgrpo − TRL, paired: {paired.estimate}, "
                  f"p = {paired.p_value:.2g}", flush=True)  # fmt: skip
            for side in SIDES:
                rates[side].append(results[side][0]["pass_at_k"]["1"]["mean"])
    count = len(ratios)
    if count > 1 and options.samples:
        gap = difference_interval(rates["trl"], rates["mathgrpo"])
        print(f"{count} seeds: pass@1, mathgrpo − TRL: {gap}")
    means = {name: math.prod(r[name] for r in ratios) ** (1 / count) for name in ratios[0]}
    print(f"{count} seeds: " + ", ".join(f"{name} {x:.2f} times" for name, x in means.items()))
    if options.json:
        named = {f"grpo_step/{options.preset}/{name}": x for name, x in means.items()}
        Path(options.json).write_text(json.dumps(named))


if __name__ == "__main__":
    run_command(main)
