"""A story told from its start over GRPO to what changed; what is in `runs/` is used again."""

import dataclasses
import time
from pathlib import Path

from rich.console import Console

from common.errors import UserError
from common.files import whole_file
from data import PromptTemplate, load_problems
from eval.compare import compare
from eval.harness import evaluate
from eval.result import load_result, print_results, save_result
from models.fetch import fetch
from rewards import Checker
from sampling import SamplingParams, load_sampler
from train.config import SftConfig, TrainConfig, load_config
from train.records.checkpoint import latest_checkpoint
from train.records.folder import RunFolder
from train.records.metrics import read_metrics
from train.story import Story

console = Console(highlight=False)


def walk_through(story: Story, seed: int, runs: Path) -> None:
    """Make or find the start, the GRPO run and both evaluations; print what changed."""
    begun = time.perf_counter()
    step(f"1  {story.title}")
    start = make_start(story, runs / f"{story.start}-seed{seed}", seed)
    run = runs / f"{story.run}-seed{seed}"
    step("2  GRPO: sample, check, reinforce what was right")
    checkpoint = train_policy(story, run, start, seed)
    step("3  Held-out problems, before and after")
    folder = run / "eval" / "heldout"
    before = measure(story, folder / "base", start, seed)
    after = measure(story, folder / checkpoint.name, Start(start.base, checkpoint), seed)
    console.print()
    print_results({"before": before[0], "trained": after[0]})
    console.print("paired difference, trained − before, 95% interval:")
    for line in compare(before, after).lines():
        console.print("  " + line)
    plot = run / "learning_curve.png"
    plot_learning_curve(run, plot)
    minutes = (time.perf_counter() - begun) / 60
    console.print(f"\n{minutes:.1f} minutes. Learning curve: {plot}")
    console.print("See what training changed, in the browser: [bold]make app[/bold]")


def step(title: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")


@dataclasses.dataclass(frozen=True)
class Start:
    """Where GRPO begins: a base model, with an adapter if it was fine-tuned by LoRA."""

    base: Path
    adapter: Path | None


def make_start(story: Story, folder: Path, seed: int) -> Start:
    """Fine-tune the story's start, unless it is there."""
    base = fetch(story.model) if story.model else None
    start = Start(base, folder) if base else Start(folder, None)
    if list(folder.glob("*model.safetensors")):
        console.print(f"found {folder}")
        return start
    from train.supervised import run_sft

    overrides = ["--run.out", str(folder), "--run.seed", str(seed)]
    overrides += ["--model.path", str(base)] if base else []
    run_sft(load_config(SftConfig, story.sft, overrides))
    return start


def train_policy(story: Story, run: Path, start: Start, seed: int) -> Path:
    """Train by GRPO, resuming where an earlier demo stopped; returns the last checkpoint."""
    overrides = ["--run.dir", str(run), "--run.seed", str(seed), "--model.path", str(start.base)]
    overrides += ["--model.adapter", str(start.adapter)] if start.adapter else []
    config = load_config(TrainConfig, story.grpo, overrides)
    last = RunFolder(run).checkpoint(config.run.steps)
    if latest_checkpoint(run) == last:
        console.print(f"found {run}")
        return last
    from train.run import Run, train

    trainer = Run(config, resume=(run / "config.toml").is_file())
    train(trainer)
    if trainer.done < config.run.steps:
        raise UserError("stopped; run the same command again to resume")
    return last


def measure(story: Story, folder: Path, start: Start, seed: int):
    """The result in `folder`, measured now unless it is there."""
    if not (folder / "results.json").is_file():
        name = str(start.adapter) if start.adapter else None
        with load_sampler("torch", start.base, adapter=name) as sampler, Checker() as checker:
            results, samples = evaluate(
                sampler,
                load_problems(story.heldout),
                PromptTemplate(sampler.tokenizer),
                checker,
                SamplingParams(max_tokens=story.max_tokens, seed=seed),
                n=story.samples,
                ks=story.ks,
                model=str(start.base),
                adapter=name,
                data=story.heldout,
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
