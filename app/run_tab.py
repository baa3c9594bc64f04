"""Run: learning curves while training goes on, completions step by step, settings, warnings."""

import tomllib
from pathlib import Path
from typing import Any

import gradio as gr
import pandas

from app.runs import find_runs
from app.text import code
from train.metrics import Metrics, read_metrics

REFRESH = 3.0  # seconds
POINTS = 600  # of a curve at most
SHOWN = 8  # completions of a step,
PER_PROBLEM = 2  # of each problem
CURVES = {
    "reward": ("reward/mean",),
    "held-out pass@1": ("eval/pass@1",),
    "KL to the reference": ("kl",),
    "tokens a completion": ("completion/mean_tokens",),
    "entropy": ("entropy",),
    "groups with signal": ("groups/all_right", "groups/all_wrong"),
}
NONE = """### No runs here yet

Start one with `make demo` or `python -m train CONFIG.toml --run.dir {runs}/NAME`."""


def run_tab(page: gr.Blocks, runs: Path) -> None:
    """Runs to choose, their curves, a slider over steps, warnings and configuration."""
    empty = gr.Markdown(visible=False)
    names = gr.Dropdown(label="Runs", multiselect=True, interactive=True, elem_id="run-names")
    state = gr.Markdown(elem_id="run-state")
    plot = gr.Plot(label="Learning curves", elem_id="run-plot")
    step = gr.Slider(1, 2, value=1, step=1, label="Step", elem_id="run-step")
    completions = gr.HTML(elem_id="run-completions", elem_classes="samples")
    with gr.Accordion("Warnings and configuration", open=False):
        notes = gr.Markdown(elem_id="run-notes")
    timer = gr.Timer(REFRESH)

    def folders(names: list[str] | None) -> list[Path]:
        known = {run.name: run.folder for run in find_runs(runs)}
        return [known[name] for name in names or [] if name in known]

    def refresh() -> list[Any]:
        labels = [run.name for run in find_runs(runs)]
        return [
            gr.Dropdown(choices=labels, value=labels[:1]),
            gr.Markdown(NONE.format(runs=runs), visible=not labels),
        ]

    def draw(names: list[str] | None) -> list[Any]:
        lines = {folder.name: read_metrics(folder) for folder in folders(names)}
        steps = max((int(x[-1]["step"] or 1) for x in lines.values() if x), default=1)
        done = ", ".join(f"{name}: step {len(x)}" for name, x in lines.items())
        slider = gr.Slider(1, max(2, steps), label=f"Step (of {steps})")
        return [done, curves(lines), slider]

    def show(names: list[str] | None, step: float) -> list[Any]:
        chosen = folders(names)
        if not chosen:
            return ["", ""]
        return [step_html(chosen[0], int(step)), settings(chosen)]

    page.load(refresh, None, [names, empty], api_visibility="private")
    gr.on([names.change, timer.tick], draw, names, [state, plot, step], api_name="curves",
          show_progress="hidden")  # fmt: skip
    gr.on([names.change, step.release], show, [names, step], [completions, notes],
          api_name="completions", show_progress="hidden")  # fmt: skip


def curves(lines: dict[str, list[Metrics]]) -> Any:
    """The learning curves of some runs, as a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    for axes, (title, keys) in zip(figure.subplots(2, 3).flat, CURVES.items(), strict=True):
        for name, all_of_run in lines.items():
            points = [(x["step"], _value(x, keys)) for x in all_of_run]
            points = [(s, v) for s, v in points if v is not None]
            points = points[:: max(1, len(points) // POINTS)]
            axes.plot([s for s, _ in points], [v for _, v in points], label=name)
        if not any(len(line.get_xdata()) for line in axes.lines):
            axes.text(0.5, 0.5, "not measured yet", ha="center", transform=axes.transAxes)
            axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
    if lines:
        figure.legend(list(lines), loc="outside lower center", ncols=3)
    return figure


def _value(line: Metrics, keys: tuple[str, ...]) -> float | None:
    values = [line.get(key) for key in keys]
    if any(value is None for value in values):
        return None
    total = sum(float(value) for value in values if value is not None)
    return 1 - total if len(keys) > 1 else total


def step_html(folder: Path, step: int) -> str:
    """Completions of one step with their verdicts; only that step's file is read."""
    file = folder / "rollouts" / f"step_{step:06d}.parquet"
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        return f"<p>No completions of step {step} were kept.</p>"
    try:
        rows = pandas.read_parquet(
            file, columns=["question", "gold", "completion", "reward", "reason", "advantage"]
        )
    except (OSError, ValueError):
        return f"<p>The completions of step {step} cannot be read.</p>"
    parts = []
    few = rows.groupby("question", sort=False).head(PER_PROBLEM).head(SHOWN)
    for row in few.itertuples():
        mark = "✓" if row.reward else "✗"
        parts.append(
            f"<p><b>{code(str(row.question))}</b> gold {code(str(row.gold))}<br>{mark} "
            f"{code(str(row.reason))}, advantage {row.advantage:+.2f}</p>"
            f"<pre>{code(str(row.completion))}</pre>"
        )
    return "".join(parts)


def settings(folders: list[Path]) -> str:
    """Warnings of the first run, its configuration, and how that of the others differs."""
    first = folders[0]
    parts = []
    warnings = first / "warnings.txt"
    if warnings.is_file():
        told = warnings.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        parts += ["**Warnings**", *(f"- `{line.replace('`', '')}`" for line in told)]
    configs = {folder.name: _config(folder) for folder in folders}
    for name, config in list(configs.items())[1:]:
        mine = configs[first.name]
        keys = [k for k in {**mine, **config} if mine.get(k) != config.get(k)]
        parts += [f"**{name} against {first.name}**"]
        parts += [f"- `{k}`: `{config.get(k)}`, there `{mine.get(k)}`" for k in keys]
    body = "\n".join(f"{key} = {value!r}" for key, value in configs[first.name].items())
    return "\n\n".join([*parts, f"**Configuration**\n```\n{body}\n```"])


def _config(folder: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {f"{s}.{key}": value for s, keys in raw.items() for key, value in keys.items()}
