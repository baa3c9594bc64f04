"""`report.html`: one result, or several, as one file that needs nothing from outside."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy
import pandas

from common.files import write_text
from eval.intervals import mean_interval
from eval.passk import pass_at_k
from eval.samples import by_problem, right_counts

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "mathgrpo"  # the same plot is the same file

SHOWN = 200  # problems listed, with
SAMPLES = 4  # completions each
LONGEST = 3_000  # characters of a completion
TITLES = (
    ("pass_at_k", "pass"),
    ("strict_pass_at_k", "marked answers only, pass"),
    ("maj_at_k", "maj"),
    ("all_right_at_k", "all right"),
)

Result = tuple[dict[str, Any], pandas.DataFrame]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #b42318; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }
body { padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
td, th { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid var(--line); }
td:first-child, th:first-child { text-align: left; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; background: white; }
details { border-bottom: 1px solid var(--line); padding: .35rem 0; }
summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .5rem; }
.right { color: var(--good); } .wrong { color: var(--bad); }
.note { opacity: .75; font-size: .9em; }
"""


def save_report(path: str | Path, results: Sequence[Result], names: Sequence[str]) -> None:
    """Write the report of results on the same data: tables, curves, levels, problems."""
    first = results[0][0]
    title = f"pass@k on {first['data']}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{first['n_problems']} problems, {first['n_samples']} samples each at temperature "
        f"{first['temperature']}. Brackets and bands are 95% intervals over problems.</p>",
        _table(results, names),
        "<h2>pass@k over k</h2>",
        _svg(lambda axes: draw_pass_curves(axes, results, names)),
    ]
    if len(results) > 2:
        parts += [
            "<h2>pass@1 over checkpoints</h2>",
            _svg(lambda axes: draw_learning_curve(axes, results, names)),
        ]
    if first.get("by_level"):
        parts += ["<h2>By level</h2>", _svg(lambda axes: draw_levels(axes, results, names))]
    parts += ["<h2>Problems</h2>", _problems(results, names)]
    write_text(
        Path(path),
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><body>"
        + "\n".join(parts)
        + "</body></html>\n",
    )


def save_plot(path: str | Path, results: Sequence[Result], names: Sequence[str]) -> None:
    """The curves of pass@k as a PNG or SVG file, by its ending."""
    figure, axes = _figure()
    draw_pass_curves(axes, results, names)
    figure.savefig(path, dpi=150)


def draw_pass_curves(axes: Any, results: Sequence[Result], names: Sequence[str]) -> None:
    """pass@k for every k up to n, with bands."""
    for (result, samples), name in zip(results, names, strict=True):
        n, right = result["n_samples"], right_counts(samples)
        ks = sorted({*range(1, min(n, 9)), *numpy.geomspace(1, n, 24).astype(int).tolist(), n})
        curve = [mean_interval(pass_at_k(n, right, int(k)), exact=n == 1) for k in ks]
        (line,) = axes.plot(ks, [e.mean for e in curve], marker=".", label=name)
        lows, highs = [e.ci_low for e in curve], [e.ci_high for e in curve]
        axes.fill_between(ks, lows, highs, alpha=0.2, color=line.get_color())
    axes.set(xlabel="k", ylabel="pass@k", ylim=(0, 1))
    if results[0][0]["n_samples"] > 4:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    axes.legend()


def draw_learning_curve(axes: Any, results: Sequence[Result], names: Sequence[str]) -> None:
    """pass@1 of each result in turn, with its interval."""
    found = [r["pass_at_k"].get("1") for r, _ in results]
    at = [i for i, e in enumerate(found) if e]
    means = [found[i]["mean"] for i in at]
    low = [found[i]["mean"] - found[i]["ci_low"] for i in at]
    high = [found[i]["ci_high"] - found[i]["mean"] for i in at]
    axes.errorbar(at, means, yerr=[low, high], marker="o", capsize=3)
    axes.set_xticks(at, [names[i] for i in at], rotation=30, ha="right")
    axes.set_ylabel("pass@1")


def draw_levels(axes: Any, results: Sequence[Result], names: Sequence[str]) -> None:
    """pass@1 by level, a group of bars each."""
    levels = list(results[0][0]["by_level"])
    width = 0.8 / len(results)
    for i, ((result, _), name) in enumerate(zip(results, names, strict=True)):
        bars = [result["by_level"].get(level, {"mean": 0.0}) for level in levels]
        places = numpy.arange(len(levels)) + i * width - 0.4 + width / 2
        axes.bar(places, [bar["mean"] for bar in bars], width, label=name)
    axes.set_xticks(range(len(levels)), levels)
    axes.set(xlabel="level", ylabel="pass@1", ylim=(0, 1))
    axes.legend()


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    return figure, figure.subplots()


def _svg(draw: Any) -> str:
    figure, axes = _figure()
    draw(axes)
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    image = base64.b64encode(out.getvalue()).decode()
    return f"<figure><img alt='plot' src='data:image/svg+xml;base64,{image}' width=700></figure>"


def _table(results: Sequence[Result], names: Sequence[str]) -> str:
    rows: list[list[str]] = []
    first = results[0][0]
    for key, title in TITLES:
        for k in first.get(key, {}):
            found = [r.get(key, {}).get(k) for r, _ in results]
            rows += [[f"{title}@{k}", *(_interval(e) if e else "–" for e in found)]]
    for key in ("truncated", "no_answer"):
        rows += [[key.replace("_", " "), *(f"{r[key]:.1%}" for r, _ in results)]]
    rows += [["mean tokens", *(f"{r['mean_tokens']:.1f}" for r, _ in results)]]
    head = "".join(f"<th>{html.escape(name)}" for name in ["", *names])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}" for c in row) for row in rows)
    return f"<table><tr>{head}{body}</table>"


def _interval(e: dict[str, float]) -> str:
    return f"{e['mean']:.3f} [{e['ci_low']:.3f}, {e['ci_high']:.3f}]"


def _problems(results: Sequence[Result], names: Sequence[str]) -> str:
    """The first problems, each to be opened, with some completions of each result."""
    groups = [list(by_problem(samples)) for _, samples in results]
    total = len(groups[0])
    out = [f"<p class=note>The first {min(SHOWN, total)} of {total} problems.</p>"]
    for number in range(min(SHOWN, total)):
        parts = [group[number] for group in groups]
        problem = parts[0]["problem"].iloc[0]
        rates = " → ".join(f"{part['reward'].mean():.2f}" for part in parts)
        question, gold = parts[0]["question"].iloc[0], parts[0]["gold"].iloc[0]
        out.append(
            f"<details><summary>{html.escape(str(problem))}: {rates}</summary>"
            f"<p>{html.escape(str(question))}</p><p class=note>gold: {html.escape(str(gold))}</p>"
        )
        for part, name in zip(parts, names, strict=False):
            out.append(f"<h4>{html.escape(name)}</h4>")
            for row in part.head(SAMPLES).itertuples():
                kind = "right" if row.reward else "wrong"
                out.append(
                    f"<p class={kind}>{kind} ({html.escape(str(row.reason))})</p>"
                    f"<pre>{html.escape(str(row.completion)[:LONGEST])}</pre>"
                )
        out.append("</details>")
    return "\n".join(out)
