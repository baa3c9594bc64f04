"""What a comparison of results shows: headline numbers, curves, bars, the samples of a problem."""

import difflib
import re
from collections.abc import Sequence

import pandas

from app.charts import Series, bar_chart, line_chart, percent
from app.html import badge, code, figures, note
from app.html import percent as share
from app.problem_table import Filters, problem_table
from app.reasons import in_words
from app.results import Found, Result
from app.tables import PAGE, Order, rows_html
from eval.compare import Comparison
from eval.intervals import mean_interval
from eval.passk import pass_at_k
from eval.result import right_counts
from eval.votes import classes

SIDES = "ABCDEF"
MOST_LEVELS = 12
TESTS = {"sign flips": "of a permutation test", "McNemar, exact": "of McNemar's exact test"}
MOST_TEXT = 20_000  # characters of a sample shown or compared
COLUMNS = [
    ("problem", "Problem", "spare"),
    ("question", "Question", ""),
    ("level", "Level", "spare"),
    ("a", "A right", "number"),
    ("b", "B right", "number"),
    ("change", "Change", "number"),
]


def headline(comparison: Comparison, a: Result, b: Result) -> str:
    """Both pass rates, the difference with interval and p, and how many were fixed and broken."""
    k = min(comparison.details)
    found = comparison.details[k]
    estimate = found.estimate
    rates = [pass_at_k(r["n_samples"], right_counts(s), k).mean() for r, s in (a, b)]
    interval = f"95% interval {100 * estimate.ci_low:+.1f} to {100 * estimate.ci_high:+.1f}"
    sure = estimate.ci_low > 0 or estimate.ci_high < 0
    shown = figures(
        [
            (f"A, pass@{k}", share(rates[0]), f"{comparison.n_problems} problems"),
            (f"B, pass@{k}", share(rates[1]), f"{a[0]['n_samples']} samples of each"),
            ("B − A", f"{100 * estimate.mean:+.1f} points", interval),
            ("p value", f"{found.p_value:.2g}", TESTS.get(found.test, found.test)),
            ("Fixed", str(len(comparison.fixed)), "problems right more often in B"),
            ("Broken", str(len(comparison.broken)), "problems right less often in B"),
        ]
    )
    verdict = "B is better than A" if estimate.mean > 0 else "B is worse than A"
    if not sure:
        verdict = "No difference is shown: the interval includes 0"
        if found.needed and found.needed > comparison.n_problems:
            more = found.needed - comparison.n_problems
            verdict += f"; about {more:,} more problems would be needed to show one of this size"
    others = "".join(
        f"<li>pass@{k}: {100 * e.mean:+.1f} points, 95% interval {100 * e.ci_low:+.1f} to "
        f"{100 * e.ci_high:+.1f}, p = {d.p_value:.2g}</li>"
        for k, d in list(comparison.details.items())[1:]
        for e in [d.estimate]
    )
    return f"<p><b>{verdict}.</b></p>{shown}" + (f"<ul>{others}</ul>" if others else "")


def curves(results: Sequence[Result], window: tuple[float, float] | None = None) -> str:
    """pass@k of each result with its interval, and the pass rate by level (or source)."""
    series = []
    for i, (told, samples) in enumerate(results):
        right, n = right_counts(samples), told["n_samples"]
        ks = sorted(int(k) for k in told["pass_at_k"])
        found = [mean_interval(pass_at_k(n, right, k), exact=n == 1) for k in ks]
        series.append(
            Series(
                SIDES[i], ks, [e.mean for e in found], [e.ci_low for e in found],
                [e.ci_high for e in found], i,
            )
        )  # fmt: skip
    shown = line_chart(
        "pass@k, with 95% intervals", series, x_title="k", y_format=percent, unit=True, log=True,
        window=window,
    )  # fmt: skip
    return f'<div class="charts zoomable">{shown}{_by_level([s for _, s in results])}</div>'


def _by_level(tables: Sequence[pandas.DataFrame]) -> str:
    for column in ("level", "source"):
        groups = sorted(set(tables[0][column].dropna().astype(str)))
        if 2 <= len(groups) <= MOST_LEVELS:
            series = [_bars_of(i, table, column, groups) for i, table in enumerate(tables)]
            return bar_chart(f"Right answers by {column}, with 95% intervals", groups, series)
    return ""


def _bars_of(place: int, samples: pandas.DataFrame, column: str, groups: list[str]) -> Series:
    rates = samples.groupby([column, "problem"], sort=False)["reward"].mean()
    found = [mean_interval(rates[group]) if group in rates else None for group in groups]
    nan = float("nan")
    return Series(
        SIDES[place],
        range(len(groups)),
        [e.mean if e else nan for e in found],
        [e.ci_low if e else nan for e in found],
        [e.ci_high if e else nan for e in found],
        place,
    )


def table_html(a: Found, b: Found, filters: Filters, order: Order, most: int = PAGE) -> str:
    """The problem table, filtered and sorted, its first `most` rows."""
    table = problem_table(a, b, filters, order)
    rows = []
    for row in table.head(most).to_dict("records"):
        change = float(row["change"])
        way = "up" if change > 0 else "down" if change < 0 else ""
        arrow = {"up": "▲", "down": "▼", "": ""}[way]
        cells = [
            code(row["problem"]),
            code(str(row["question"])[:110]),
            code("" if row["level"] is None else row["level"]),
            share(row["a"]),
            share(row["b"]),
            f'<span class="{way}">{arrow} {100 * change:+.0f}</span>',
        ]
        rows.append((str(row["problem"]), cells))
    return rows_html("problems", COLUMNS, rows, order, len(table))


def samples_of(result: Result, problem: str) -> pandas.DataFrame:
    """The samples of one problem."""
    samples = result[1]
    return samples[samples["problem"] == problem]


def sides_html(results: Sequence[Result], problem: str) -> str:
    """The samples of a problem, side by side, grouped by answer."""
    parts = []
    for i, result in enumerate(results):
        mine = samples_of(result, problem)
        rate = share(mine["reward"].mean()) if len(mine) else "no samples"
        side = f'<span class="letter c{i}">{SIDES[i]}</span>'
        parts.append(f"<section><h3>{side} {rate} right</h3>{groups_html(mine)}</section>")
    return "".join(parts)


def groups_html(samples: pandas.DataFrame) -> str:
    """Samples grouped by answer, the most frequent first: how each was read, and its texts."""
    kinds = pandas.Series(classes(samples["extracted"].tolist()), index=samples.index)
    kinds = kinds.astype(object).where(kinds.notna(), -1)
    parts = []
    for kind in kinds.value_counts().index:
        group = samples[kinds == kind]
        first = group.iloc[0]
        answer = "<i>no answer</i>" if kind == -1 else f"<b>{code(str(first.extracted)[:200])}</b>"
        read = f", read as {code(first.read_as)}" if first.read_as else ""
        texts = "".join(f"<pre>{code(t[:MOST_TEXT])}</pre>" for t in group["completion"].head(4))
        parts.append(
            f'<div class="group">{badge(int(first.reward))} {answer}: {len(group)} of '
            f'{len(samples)}<div class="why">{code(in_words(str(first.reason)))}{read}</div>'
            f"<details><summary>Read {min(4, len(group))} of them</summary>{texts}</details></div>"
        )
    return "".join(parts)


def difference_html(a: str, b: str) -> str:
    """Two texts as one: what only A has is struck out, what only B has is marked."""
    left, right = (re.findall(r"\s+|\w+|[^\w\s]", text[:MOST_TEXT])[:4000] for text in (a, b))
    parts = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=len(left) + len(right) > 2000)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            parts.append(code("".join(left[i1:i2])))
            continue
        if i2 > i1:
            parts.append(f'<del class="del">{code("".join(left[i1:i2]))}</del>')
        if j2 > j1:
            parts.append(f'<ins class="ins">{code("".join(right[j1:j2]))}</ins>')
    return (
        f'<p>Struck out: only in A. Marked: only in B.</p><div class="diff">{"".join(parts)}</div>'
    )


def nothing_yet(command: str, what: str) -> str:
    """What to do where there are not two results yet."""
    return note(
        f"<b>{code(what)}</b> Evaluate the base model and a checkpoint with the same data and "
        "settings, then reload this page:",
        f"<pre>{code(command)}</pre>",
        "(the base: without <code>--adapter</code>, into <code>…/base</code>). "
        "<code>make demo</code> leaves both.",
    )
