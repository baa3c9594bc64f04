"""What the Training tab shows of a run: curves, warnings, settings, the groups of a step."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from app.charts import Series, line_chart, percent, plain
from app.files import Line, is_file, read_metrics, read_text
from app.html import code, mark, note
from app.reasons import in_words
from app.rollouts import groups_of
from app.runs import read_config
from common.errors import UserError

POINTS = 300  # of a curve at most
SHOWN = 5  # problems of a step at once
CURVES = {
    "Mean reward": ("reward/mean", True),
    "pass@1 on held-out problems": ("eval/pass@1", True),
    "Groups with both right and wrong answers": ("signal", True),
    "KL to the base model, nats per token": ("kl", False),
    "Tokens per completion": ("completion/mean_tokens", False),
    "Entropy, nats per token": ("entropy", False),
    "Completions cut off": ("completion/truncated", True),
    "Gradient norm": ("grad_norm", False),
}
AXES = {"step": "step", "hours": "time, hours"}


def curves_html(
    lines: dict[str, list[Line]],
    axis: str = "step",
    smoothing: float = 0.0,
    window: tuple[float, float] | None = None,
) -> str:
    """The curves of some runs over each other, one chart a measure."""
    charts = []
    for title, (key, is_share) in CURVES.items():
        series = []
        for colour, (name, found) in enumerate(lines.items()):
            xs, ys = points(found, key, axis)
            if ys:
                series.append(Series(name, *thinned(xs, smooth(ys, smoothing)), colour=colour))
        if series:
            charts.append(
                line_chart(
                    title, series, x_title=AXES[axis], window=window,
                    y_format=percent if is_share else plain,
                )
            )  # fmt: skip
    if not charts:
        return note("No step is finished yet.")
    return f'<div class="charts zoomable">{"".join(charts)}</div>'


def points(lines: Sequence[Line], key: str, axis: str) -> tuple[list[float], list[float]]:
    """The values of one measure, over steps or over hours of sampling, checking and training."""
    xs: list[float] = []
    ys: list[float] = []
    seconds = 0.0
    for line in lines:
        seconds += sum(v for k, v in line.items() if k.startswith("time/") and v is not None)
        value = _signal(line) if key == "signal" else line.get(key)
        if value is not None:
            xs.append(seconds / 3600 if axis == "hours" else float(line["step"] or 0))
            ys.append(value)
    return xs, ys


def _signal(line: Line) -> float | None:
    right, wrong = line.get("groups/all_right"), line.get("groups/all_wrong")
    return None if right is None or wrong is None else 1 - right - wrong


def smooth(values: Sequence[float], share: float) -> list[float]:
    """An exponential mean that forgets with `share` (0: as measured), without a bias at first."""
    found, mean, weight = [], 0.0, 0.0
    for value in values:
        mean = share * mean + (1 - share) * value
        weight = share * weight + (1 - share)
        found.append(mean / weight)
    return found


def thinned(xs: list[float], ys: list[float]) -> tuple[list[float], list[float]]:
    """At most `POINTS` points: the mean of neighbours."""
    size = math.ceil(len(xs) / POINTS)
    if size <= 1:
        return xs, ys
    cuts = range(0, len(xs), size)
    return (
        [sum(xs[i : i + size]) / len(xs[i : i + size]) for i in cuts],
        [sum(ys[i : i + size]) / len(ys[i : i + size]) for i in cuts],
    )


def state_html(lines: dict[str, list[Line]]) -> str:
    """How far each run is."""
    told = []
    for name, found in lines.items():
        at = int(found[-1]["step"] or 0) if found else 0
        told.append(code(f"{name}: step {at}" if at else f"{name}: no step finished yet"))
    return f"<p>{', '.join(told)}</p>"


def warnings_html(run: Path) -> str:
    """The run's last warnings, with the advice that stands in them."""
    lines = read_text(run / "warnings.txt", run).splitlines()[-8:]
    return "".join(note(f"<b>Warning</b> {code(line)}") for line in lines if line.strip())


def settings_html(folders: Sequence[Path]) -> str:
    """The configuration of the first run, and how those of the others differ."""
    configs = {folder.name: _flat(folder) for folder in folders}
    first = folders[0].name
    parts = []
    for name, config in list(configs.items())[1:]:
        mine = configs[first]
        keys = [k for k in {**mine, **config} if mine.get(k) != config.get(k)]
        rows = "".join(
            f"<tr><th scope='row'>{code(k)}</th><td>{code(mine.get(k, '—'))}</td>"
            f"<td>{code(config.get(k, '—'))}</td></tr>"
            for k in keys
        )
        parts.append(
            f"<h3>What differs</h3><table class='pairs'><thead><tr><th scope='col'>Setting</th>"
            f"<th scope='col'>{code(first)}</th><th scope='col'>{code(name)}</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
            if rows
            else f"<p>{code(name)} has the same configuration as {code(first)}.</p>"
        )
    body = "\n".join(f"{key} = {value!r}" for key, value in configs[first].items())
    return "".join([*parts, f"<h3>Configuration of {code(first)}</h3><pre>{code(body)}</pre>"])


def _flat(run: Path) -> dict[str, Any]:
    try:
        raw = read_config(run)
    except (OSError, ValueError, UserError, RecursionError):
        return {}
    return {
        f"{section}.{key}": value
        for section, keys in raw.items()
        if isinstance(keys, dict)
        for key, value in keys.items()
    }


def step_html(rows: pandas.DataFrame, at: int, colours: dict[int, str]) -> str:
    """The groups of a step from group `at` on: rewards, advantages, texts.

    `colours`: the coloured tokens of some rows, by place in the table.
    """
    extra = [name for name in rows.columns if str(name).startswith("reward/")]
    groups = groups_of(rows)
    parts = [f"<p>Problems {at + 1} to {min(at + SHOWN, len(groups))} of {len(groups)}</p>"]
    for group in groups[at : at + SHOWN]:
        question, gold = group.iloc[0][["question", "gold"]]
        right = int((group["reward"] > 0).sum())
        parts.append(
            f'<div class="group"><b>{code(question)}</b><div>Correct answer: <b>{code(gold)}</b>. '
            f"{right} of {len(group)} right.</div>"
        )
        for place, row in zip(group.index, group.to_dict("records"), strict=True):
            parts.append(_completion(row, extra, colours.get(place)))
        parts.append("</div>")
    return "".join(parts)


def _completion(row: Mapping[Any, Any], extra: Sequence[str], coloured: str | None) -> str:
    """One completion: its verdict, rewards by function, the advantage, its text."""
    told = [mark(row["reward"]) if row["reward"] in (0, 1) else f"reward {row['reward']:.3g}"]
    told += [f"{code(name.removeprefix('reward/'))} {row[name]:+.3g}" for name in extra]
    if is_number(row.get("advantage")):
        told.append(f"advantage {row['advantage']:+.2f}")
    if row.get("finish_reason") == "length":
        told.append("cut off")
    if row.get("reason"):
        told.append(code(in_words(str(row["reason"]))))
    text = str(row["completion"]).strip()
    body = coloured or f"<pre>{code(text[:20_000])}</pre>"
    opened = " open" if coloured else ""
    first = code(" ".join(text.split())[:90])
    return (
        f"<details{opened}><summary>{', '.join(told)}<div class='why'>{first}</div></summary>"
        f"{body}</details>"
    )


def is_number(value: Any) -> bool:
    """Whether a value of a table is a number (and not missing)."""
    return isinstance(value, int | float) and not math.isnan(value)


def stamp(run: Path) -> tuple[int, int]:
    """Tells whether the metrics of a run have changed, without reading them."""
    file = run / "metrics.jsonl"
    if not is_file(file, run):
        return 0, 0
    known = file.stat()
    return known.st_size, known.st_mtime_ns


def metrics_of(folders: Sequence[Path]) -> dict[str, list[Line]]:
    """The metrics of some runs, by name."""
    return {folder.name: read_metrics(folder) for folder in folders}
