"""Charts as SVG: sharp in any theme, readable aloud, with every value under the pointer.

Nothing is fetched and no script is needed to look at one, so an exported page holds the same
charts. In the page, dragging over a chart asks for a narrower window (see static/page.js).
"""

import dataclasses
import html
import math
from collections.abc import Callable, Sequence
from typing import Any

WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 30, 34
TOLD = 60  # points of a line whose values are told under the pointer
COLOURS = 6  # in static/style.css: .c0 to .c5

Format = Callable[[float], str]


@dataclasses.dataclass(frozen=True)
class Series:
    """A line, or the bars of one kind; `low` and `high` bound its 95% interval where known."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    colour: int = 0


def percent(value: float) -> str:
    """A share as a label."""
    return f"{100 * value:.3g}%"


def plain(value: float) -> str:
    """A number as a label."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_title: str,
    y_format: Format = plain,
    unit: bool = False,
    log: bool = False,
    window: tuple[float, float] | None = None,
) -> str:
    """Lines over numbers. `unit`: the y axis goes from 0 to 1. `window`: only x between these."""
    kept = [_inside(s, window) for s in series]
    xs = [x for s in kept for x in s.x]
    if not xs:
        return _frame(title, "", "", "no values yet")
    ys = [y for s in kept for y in [*s.y, *s.low, *s.high] if math.isfinite(y)]
    low, high = (0.0, 1.0) if unit else _range(ys)
    if y_format is percent:
        high = min(high, max([1.0, *ys]))
    scale = _Scale(min(xs), max(xs), low, high, log)
    names = sorted(set(xs)) if log else _ticks(min(xs), max(xs))
    axes = scale.axes([(x, plain(x)) for x in names], _ticks(low, high), y_format, x_title)
    marks = "".join(_line(s, scale, y_format, x_title) for s in kept)
    told = "; ".join(f"{s.name} ends at {y_format(s.y[-1])}" for s in kept if s.y)
    data = f'data-x0="{min(xs)}" data-x1="{max(xs)}"'
    return _frame(title, axes + marks, _legend(series), told, data)


def bar_chart(
    title: str, groups: Sequence[str], series: Sequence[Series], *, y_format: Format = percent
) -> str:
    """Bars between 0 and 1, grouped: bar i of each series stands at group i."""
    if not groups:
        return _frame(title, "", "", "no values")
    scale = _Scale(0, len(groups), 0, 1, False)
    shown = [g if len(g) <= 12 else g[:11] + "…" for g in groups]
    axes = scale.axes([(i + 0.5, g) for i, g in enumerate(shown)], _ticks(0, 1), y_format, "")
    width = 0.8 / len(series)
    marks = []
    for place, s in enumerate(series):
        for i, y in enumerate(s.y):
            if not math.isfinite(y):
                continue
            left = scale.x(i + 0.1 + place * width)
            wide = max(1.0, scale.x(width) - scale.x(0) - 1)
            tip = _tip(s, i, y_format, groups[i])
            marks.append(
                f'<rect class="fill c{s.colour}" x="{left:.1f}" y="{scale.y(y):.1f}" '
                f'width="{wide:.1f}" height="{max(0.5, scale.y(0) - scale.y(y)):.1f}">{tip}</rect>'
            )
            if s.low:
                marks.append(_whisker(left + wide / 2, s.low[i], s.high[i], scale))
    told = "; ".join(
        f"{g}: " + ", ".join(f"{s.name} {y_format(s.y[i])}" for s in series)
        for i, g in enumerate(groups)
    )
    return _frame(title, axes + "".join(marks), _legend(series), told)


@dataclasses.dataclass(frozen=True)
class _Scale:
    x0: float
    x1: float
    y0: float
    y1: float
    log: bool

    def x(self, value: float) -> float:
        low, high = (math.log(v) if self.log else v for v in (self.x0, self.x1))
        at = math.log(value) if self.log else value
        share = (at - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y0) / (self.y1 - self.y0)
        return HEIGHT - BOTTOM - min(max(share, 0), 1) * (HEIGHT - TOP - BOTTOM)

    def axes(
        self, names: Sequence[tuple[float, str]], ys: Sequence[float], form: Format, x_title: str
    ) -> str:
        parts = []
        for y in ys:
            at = self.y(y)
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
            )
            parts.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{form(y)}</text>')
        parts += [
            f'<text x="{self.x(x):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">'
            f"{html.escape(name)}</text>"
            for x, name in names
        ]
        middle = (LEFT + WIDTH - RIGHT) / 2
        title = html.escape(x_title)
        parts.append(f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{title}</text>')
        return "".join(parts)


def _inside(series: Series, window: tuple[float, float] | None) -> Series:
    """The part of a series within a window, and only what is a number."""
    low, high = window or (-math.inf, math.inf)
    kept = [i for i, x in enumerate(series.x) if low <= x <= high and math.isfinite(series.y[i])]
    picked: dict[str, Any] = {
        name: [getattr(series, name)[i] for i in kept] if getattr(series, name) else []
        for name in ("x", "y", "low", "high")
    }
    return dataclasses.replace(series, **picked)


def _line(series: Series, scale: _Scale, form: Format, x_title: str) -> str:
    if not series.x:
        return ""
    points = [(scale.x(x), scale.y(y)) for x, y in zip(series.x, series.y, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = []
    if series.low:
        low = [(scale.x(x), scale.y(y)) for x, y in zip(series.x, series.low, strict=True)]
        high = [(scale.x(x), scale.y(y)) for x, y in zip(series.x, series.high, strict=True)]
        area = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*low, *reversed(high)])
        parts.append(f'<polygon class="band c{series.colour}" points="{area}"/>')
    parts.append(f'<polyline class="line c{series.colour}" points="{path}"/>')
    radius = 3 if len(points) <= 40 else 0
    for i in range(0, len(points), max(1, len(points) // TOLD)):
        x, y = points[i]
        tip = _tip(series, i, form, f"{x_title} {plain(series.x[i])}")
        parts.append(
            f'<g class="point"><circle class="fill c{series.colour}" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="{radius}"/><circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="8"/>{tip}</g>'
        )
    return "".join(parts)


def _tip(series: Series, i: int, form: Format, where: str) -> str:
    text = f"{series.name}, {where}: {form(series.y[i])}"
    if series.low:
        text += f" [{form(series.low[i])}, {form(series.high[i])}]"
    return f"<title>{html.escape(text)}</title>"


def _whisker(x: float, low: float, high: float, scale: _Scale) -> str:
    ends = f'y1="{scale.y(low):.1f}" y2="{scale.y(high):.1f}"'
    return f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" {ends}/>'


def _legend(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    items = "".join(
        f'<li><span class="swatch c{s.colour}"></span>{html.escape(s.name)}</li>' for s in series
    )
    return f'<ul class="legend">{items}</ul>'


def _frame(title: str, marks: str, legend: str, told: str, data: str = "") -> str:
    label = html.escape(f"{title}. {told}"[:400], quote=True)
    body = marks or (
        f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">{html.escape(told)}</text>'
    )
    plot = f'data-left="{LEFT / WIDTH}" data-right="{1 - RIGHT / WIDTH}" {data}'
    return (
        f'<figure class="chart" {plot}><figcaption>{html.escape(title)}</figcaption>'
        f'<svg viewBox="0 {TOP - 12} {WIDTH} {HEIGHT - TOP + 12}" role="img" '
        f'aria-label="{label}">{body}</svg>{legend}</figure>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """What an axis shows: all values with some room, which does not reach across 0."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 0.5
    bottom = 0.0 if 0 <= low < max(high - low, room) else low - room
    return bottom, (min(high + room, 0.0) if low < 0 >= high else high + room)


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between two bounds."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= about)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]
