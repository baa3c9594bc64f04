"""Run: learning curves while training goes on, completions step by step, settings, warnings."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import pandas

from app.address import number, remember
from app.plots import figure, readable
from app.runs import find_runs, within
from app.text import code
from train.metrics import Metrics, read_metrics

REFRESH = 3.0  # seconds
POINTS = 600  # of a curve at most
MOST = 6  # runs at once
SHOWN = 4  # problems of a step,
PER_PROBLEM = 2  # completions of each
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
    note = gr.Markdown(visible=False, elem_id="run-note")
    names = gr.Dropdown(
        label="Runs", multiselect=True, interactive=True, max_choices=MOST, elem_id="run-names"
    )
    state = gr.HTML(elem_id="run-state")
    plot = gr.Plot(label="Learning curves", show_label=False, elem_id="run-plot")
    step = gr.Slider(1, 2, value=1, step=1, label="Step", elem_id="run-step")
    completions = gr.HTML(elem_id="run-completions", elem_classes="samples")
    with gr.Accordion("Warnings and configuration", open=False):
        notes = gr.HTML(elem_id="run-notes", elem_classes="samples")
    drawn = gr.State("")
    timer = gr.Timer(REFRESH)

    def folders(names: Sequence[str] | None) -> list[Path]:
        known = {run.name: run.folder for run in find_runs(runs)}
        return [known[name] for name in names or [] if name in known][:MOST]

    def refresh(request: gr.Request) -> list[Any]:
        labels = [run.name for run in find_runs(runs)]
        wanted = [x for x in request.query_params.get("runs", "").split(",") if x in labels]
        at = max(1, int(number(request.query_params.get("step"), 1, 1e7)))
        return [
            gr.Dropdown(choices=labels, value=wanted[:MOST] or labels[:1]),
            gr.Slider(1, max(2, at), value=at),
            gr.Markdown(NONE.format(runs=runs), visible=not labels),
        ]

    def draw(names: list[str] | None, drawn: str) -> list[Any]:
        chosen = folders(names)
        seen = repr([(f.name, _stamp(f)) for f in chosen])
        if seen == drawn:  # nothing new: a page that is only looked at costs nothing
            return [gr.skip()] * 4
        lines = {f.name: _metrics(f) for f in chosen}
        last = {name: int(x[-1]["step"] or 0) if x else 0 for name, x in lines.items()}
        done = ", ".join(
            code(f"{name}: step {at}" if at else f"{name}: no step finished yet")
            for name, at in last.items()
        )
        steps = max(last.values(), default=0)
        slider = gr.Slider(1, max(2, steps), label=f"Step (of {steps})")
        return [done, curves(lines), slider, seen]

    def show(names: list[str] | None, step: float) -> list[Any]:
        chosen = folders(names)
        if not chosen:
            return ["", ""]
        return [step_html(chosen[0], int(step)), settings(chosen)]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    page.load(refresh, None, [names, step, note], **private)
    gr.on([names.change, timer.tick], draw, [names, drawn], [state, plot, step, drawn], **private)
    gr.on([names.change, step.change], show, [names, step], [completions, notes],
          trigger_mode="always_last", **private)  # fmt: skip
    gr.on([names.input, step.release], None, [names, step], None, js=remember(["runs", "step"]))


def _stamp(folder: Path) -> tuple[int, int]:
    """Tells whether the metrics of a run have changed, without reading them."""
    file = folder / "metrics.jsonl"
    if not within(file, folder):
        return 0, 0
    known = file.stat()
    return known.st_size, known.st_mtime_ns


def _metrics(folder: Path) -> list[Metrics]:
    """The metrics of a run; what is no metrics file counts as none."""
    if not within(folder / "metrics.jsonl", folder):
        return []
    try:
        lines: list[Any] = read_metrics(folder)
    except (OSError, UnicodeDecodeError):
        return []
    return [x for x in lines if isinstance(x, dict) and isinstance(x.get("step"), int)]


def curves(lines: dict[str, list[Metrics]]) -> Any:
    """The learning curves of some runs, as a figure."""
    drawn = figure(9, 5)
    for axes, (title, keys) in zip(drawn.subplots(2, 3).flat, CURVES.items(), strict=True):
        for all_of_run in lines.values():
            points = [(x["step"], _value(x, keys)) for x in all_of_run]
            points = [(s, v) for s, v in points if v is not None]
            points = points[:: max(1, len(points) // POINTS)]
            mark = "." if len(points) < 30 else ""
            axes.plot([s for s, _ in points], [v for _, v in points], marker=mark)
        if not any(len(line.get_xdata()) for line in axes.lines):
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
            axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
    if lines:
        names = [name.replace("$", r"\$") for name in lines]  # no name is a formula
        drawn.legend(drawn.axes[0].lines, names, loc="outside lower center", ncols=3)
    return readable(drawn)


def _value(line: Metrics, keys: tuple[str, ...]) -> float | None:
    values = [line.get(key) for key in keys]
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    if len(numbers) < len(keys):
        return None
    return 1 - sum(numbers) if len(keys) > 1 else numbers[0]


def step_html(folder: Path, step: int) -> str:
    """Completions of one step with their verdicts; only that step's file is read."""
    file = folder / "rollouts" / f"step_{step:06d}.parquet"
    if not within(file, folder):
        return f"<p>No completions of step {step} were kept.</p>"
    try:
        rows = pandas.read_parquet(
            file, columns=["question", "gold", "completion", "reward", "reason", "advantage"]
        )
    except (OSError, ValueError):
        return f"<p>The completions of step {step} cannot be read.</p>"
    parts = []
    for (question, gold), group in list(rows.groupby(["question", "gold"], sort=False))[:SHOWN]:
        parts.append(f"<p><b>{code(str(question))}</b> gold: {code(str(gold))}</p>")
        for row in group.head(PER_PROBLEM).itertuples():
            mark = "✓" if row.reward else "✗"
            parts.append(
                f"<p>{mark} {code(str(row.reason))}, advantage {row.advantage:+.2f}</p>"
                f"<pre>{code(str(row.completion).strip())}</pre>"
            )
    return "".join(parts)


def settings(folders: list[Path]) -> str:
    """Warnings of the first run, its configuration, and how that of the others differs: HTML."""
    first = folders[0]
    parts = []
    warnings = first / "warnings.txt"
    if within(warnings, first):
        told = warnings.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        parts += ["<h3>Warnings</h3>", _list(told)]
    configs = {folder.name: _config(folder) for folder in folders}
    for name, config in list(configs.items())[1:]:
        mine = configs[first.name]
        keys = [k for k in {**mine, **config} if mine.get(k) != config.get(k)]
        differ = [f"{k}: {config.get(k)!r}, there {mine.get(k)!r}" for k in keys]
        parts += [f"<h3>{code(name)} against {code(first.name)}</h3>"]
        parts += [_list(differ) if differ else "<p>The same configuration.</p>"]
    body = "\n".join(f"{key} = {value!r}" for key, value in configs[first.name].items())
    return "".join([*parts, f"<h3>Configuration</h3><pre>{code(body)}</pre>"])


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{code(line)}</li>' for line in lines)}</ul>"


def _config(folder: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {
        f"{s}.{key}": value
        for s, keys in raw.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
    }
