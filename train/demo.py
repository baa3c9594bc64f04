"""`python -m train.demo`: the whole story on a bare CPU.

A tiny base model is made on the spot, trained by GRPO, and measured before and after on held-out
problems. What an earlier demo left in `runs/` is used again.
"""

import time
from pathlib import Path

from rich.console import Console

from common.errors import OneLineParser, UserError, run_command
from common.files import whole_file
from data import PromptTemplate, load_problems
from eval.compare import compare
from eval.harness import Protocol, sample_problems
from eval.result import load_result, print_results, save_result, summarize
from rewards import Checker
from sampling import load_sampler
from train.checkpoint import latest_checkpoint, step_folder
from train.config import SftConfig, TrainConfig, load_config
from train.metrics import read_metrics

CONFIGS = Path(__file__).parent.parent / "configs" / "quickstart"
HELDOUT = "synth:heldout,n=500"
SAMPLES = 16
KS = [1, 8]

console = Console(highlight=False)


def run_demo(seed: int, runs: Path) -> None:
    """Make or find the base model, the GRPO run and both evaluations; print what changed."""
    begun = time.perf_counter()
    base, run = runs / f"base-seed{seed}", runs / f"quickstart-seed{seed}"
    step("1  A tiny base model, trained from scratch on worked solutions with slips")
    make_base(base, seed)
    step("2  GRPO: sample, check, reinforce what was right")
    checkpoint = train_policy(run, base, seed)
    step("3  Held-out problems, before and after")
    folder = run / "eval" / "heldout"
    before = evaluate(folder / "base", base, None, seed)
    after = evaluate(folder / checkpoint.name, base, checkpoint, seed)
    console.print()
    print_results({"base": before[0], "trained": after[0]})
    console.print("paired difference, trained − base, 95% interval:")
    for line in compare(before, after).lines():
        console.print("  " + line)
    plot = run / "learning_curve.png"
    plot_learning_curve(run, plot)
    minutes = (time.perf_counter() - begun) / 60
    console.print(f"\n{minutes:.1f} minutes. Learning curve: {plot}")
    console.print("See what training changed, in the browser: [bold]make app[/bold]")


def step(title: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")


def make_base(folder: Path, seed: int) -> None:
    """Train the tiny base model, unless it is there."""
    if (folder / "model.safetensors").is_file():
        console.print(f"found {folder}")
        return
    from train.supervised import run_sft

    overrides = ["--run.out", str(folder), "--run.seed", str(seed)]
    run_sft(load_config(SftConfig, CONFIGS / "base.toml", overrides))


def train_policy(run: Path, base: Path, seed: int) -> Path:
    """Train by GRPO, going on where an earlier demo stopped; returns the last checkpoint."""
    overrides = ["--run.dir", str(run), "--run.seed", str(seed), "--model.path", str(base)]
    config = load_config(TrainConfig, CONFIGS / "grpo.toml", overrides)
    last = step_folder(run, config.run.steps)
    if latest_checkpoint(run) == last:
        console.print(f"found {run}")
        return last
    from train.run import TrainRun

    trainer = TrainRun(config, resume=(run / "config.toml").is_file())
    trainer.train()
    if trainer.done < config.run.steps:
        raise UserError("stopped; run make demo again to go on")
    return last


def evaluate(folder: Path, base: Path, adapter: Path | None, seed: int):
    """The result in `folder`, measured now unless it is there."""
    if not (folder / "results.json").is_file():
        name = str(adapter) if adapter else None
        protocol = Protocol(n=SAMPLES, max_tokens=80, seed=seed)
        with load_sampler("torch", base, adapter=name) as sampler:
            template = PromptTemplate(sampler.tokenizer)
            samples = sample_problems(
                sampler, load_problems(HELDOUT), template, Checker(), protocol
            )
        results = summarize(
            samples,
            KS,
            model=str(base),
            adapter=name,
            data=HELDOUT,
            seed=seed,
            temperature=protocol.temperature,
        )
        save_result(folder, results, samples)
    return load_result(folder)


def plot_learning_curve(run: Path, path: Path, window: int = 10) -> None:
    """Draw the mean reward over the steps, raw and averaged over `window` steps."""
    import matplotlib

    matplotlib.use("Agg")
    import pandas
    from matplotlib import pyplot

    rewards = pandas.Series({m["step"]: m["reward/mean"] for m in read_metrics(run)})
    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(rewards.index, rewards, alpha=0.3, color="tab:blue", label="each step")
    smooth = rewards.rolling(window, min_periods=1).mean()
    axes.plot(smooth.index, smooth, color="tab:blue", label=f"mean of {window} steps")
    axes.set(xlabel="step", ylabel="mean reward (share right)", title=f"GRPO: {run.name}")
    axes.grid(alpha=0.3)
    axes.legend()
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m train.demo", description="The whole story on a CPU.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs", help="where base model and run are kept")
    options = parser.parse_args(argv)
    run_demo(options.seed, Path(options.runs))


if __name__ == "__main__":
    run_command(main)
