"""How problems fared over the checkpoints of a run: learnt, lost, and when."""

import dataclasses
from collections.abc import Sequence

import numpy
import pandas

from app.charts import Series, line_chart
from app.charts import percent as share_label
from app.html import code, exact_interval, percent
from app.results import Found, load, rates
from app.tables import PAGE, more_html
from eval.votes import classes

OUTCOMES = {
    "all": "all problems",
    "learnt": "learnt (wrong at first, right at the end)",
    "lost": "lost (right at first, wrong at the end)",
    "changing": "changing back and forth",
    "right": "right throughout",
    "wrong": "wrong throughout",
}
ORDER = tuple(OUTCOMES)[1:]
HALF = 0.5  # a problem counts as right where at least half of its samples are
BANDS = 5  # most frequent answers shown


@dataclasses.dataclass(frozen=True)
class Stage:
    """One checkpoint's samples of one problem."""

    name: str
    step: float
    texts: Sequence[str]
    answers: Sequence[str | None]
    rewards: Sequence[int] | None


@dataclasses.dataclass(frozen=True)
class Evolution:
    """The pass rates of a set's problems (rows) at the checkpoints of a run (columns)."""

    stages: list[Found]
    rates: pandas.DataFrame
    questions: pandas.Series
    left_out: list[str]  # results about other problems


def read_evolution(results: Sequence[Found]) -> Evolution:
    """The map of the results of one run and set, by step; those of other problems left out."""
    ordered = sorted(results, key=lambda one: (one.step is None, one.step or 0))
    columns: dict[str, pandas.Series] = {}
    kept: list[Found] = []
    left_out: list[str] = []
    first = pandas.DataFrame()
    for one in ordered:
        samples = load(one)[1]
        asked = samples.drop_duplicates("problem").set_index("problem")[["question", "gold"]]
        if kept and not asked.equals(first):
            left_out.append(one.name)
            continue
        first = first if kept else asked
        columns[one.name] = rates(samples)
        kept.append(one)
    return Evolution(kept, pandas.DataFrame(columns), first["question"], left_out)


def outcomes(table: pandas.DataFrame) -> pandas.DataFrame:
    """Of each problem: its outcome, and the place of the checkpoint at which it came to stay."""
    right = table.to_numpy() >= HALF
    changes = numpy.abs(numpy.diff(right.astype(int), axis=1)).sum(axis=1)
    first, last = right[:, 0], right[:, -1]
    kinds = numpy.select(
        [(changes == 0) & first, changes == 0, ~first & last, first & ~last],
        ["right", "wrong", "learnt", "lost"],
        "changing",
    )
    width = table.shape[1]
    same = right == last[:, None]
    # The first column from which on all are like the last one.
    settled = width - numpy.argmin(same[:, ::-1], axis=1)
    settled = numpy.where(same.all(axis=1), 0, settled)
    return pandas.DataFrame({"outcome": kinds, "settled": settled}, index=table.index)


def sorted_map(found: Evolution, outcome: str, words: str) -> pandas.DataFrame:
    """The rates, those learnt first at the top, then the lost ones; filtered."""
    told = outcomes(found.rates)
    keep = numpy.ones(len(told), dtype=bool)
    if outcome != "all":
        keep &= (told["outcome"] == outcome).to_numpy()
    where = (found.questions.index.to_series() + "\n" + found.questions).str.lower()
    for word in words.lower().split():
        keep &= where.str.contains(word, regex=False).to_numpy()
    told = told[keep]
    rank = told["outcome"].map({name: i for i, name in enumerate(ORDER)})
    order = pandas.DataFrame({"rank": rank, "settled": told["settled"]})
    return found.rates.loc[order.sort_values(["rank", "settled"], kind="stable").index]


def map_html(found: Evolution, outcome: str, words: str, most: int = PAGE) -> str:
    """The map: one row a problem, one cell a checkpoint, coloured by pass rate."""
    table = sorted_map(found, outcome, words)
    told = outcomes(found.rates)
    counts = told["outcome"].value_counts()
    summary = ", ".join(f"{counts.get(k, 0)} {OUTCOMES[k].partition(' (')[0]}" for k in ORDER)
    heads = "".join(f'<th scope="col">{code(stage_name(one))}</th>' for one in found.stages)
    names = [one.name for one in found.stages]
    rows = []
    shown = table.head(most)
    told = told.loc[shown.index]
    for problem, values, kind, at in zip(
        shown.index, shown.to_numpy(), told["outcome"], told["settled"], strict=True
    ):
        cells = "".join(
            f'<td style="background:{colour(rate)};color:{ink(rate)}" '
            f'title="{code(name)}: {percent(rate)} right">{100 * rate:.0f}</td>'
            for name, rate in zip(names, values, strict=True)
        )
        when = f" by {stage_name(found.stages[at])}" if kind in ("learnt", "lost") else ""
        label = code(str(found.questions[problem])[:90])
        rows.append(
            f'<tr data-row="{code(problem)}" tabindex="0"><th scope="row">{label}</th>{cells}'
            f"<th>{kind}{code(when)}</th></tr>"
        )
    left = f"<p>Other problems, left out: {code(', '.join(found.left_out))}</p>"
    return (
        f"<p>{len(found.rates):,} problems: {summary}. Cells: how many percent of the samples are "
        f"right.</p>{left if found.left_out else ''}"
        f'<div class="scroll" data-name="map"><table class="map"><thead><tr>'
        f'<th scope="col">Problem</th>{heads}<th scope="col">Outcome</th></tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table>{more_html(min(most, len(table)), len(table))}</div>"
    )


def stage_name(one: Found) -> str:
    """A checkpoint's short name."""
    return "base" if one.step == 0 else f"step {one.step}" if one.step else one.name


def colour(rate: float) -> str:
    """From red (0) over yellow to green (1), readable without them by the number in it."""
    return f"hsl({120 * rate:.0f} 65% {36 + 26 * (1 - abs(2 * rate - 1)):.0f}%)"


def ink(rate: float) -> str:
    """A colour of letters that stands out on `colour(rate)`."""
    return "#000" if 0.12 < rate < 0.9 else "#fff"


def stages_of(found: Evolution, problem: str) -> list[Stage]:
    """The samples of one problem at each checkpoint."""
    stages = []
    for place, one in enumerate(found.stages):
        samples = load(one)[1]
        mine = samples[samples["problem"] == problem]
        stages.append(
            Stage(
                stage_name(one),
                float(place if one.step is None else one.step),
                mine["completion"].tolist(),
                mine["extracted"].tolist(),
                mine["reward"].tolist(),
            )
        )
    return stages


def problem_html(stages: Sequence[Stage]) -> str:
    """One problem over the checkpoints: pass rate, most frequent answers, a sample of each."""
    checked = [s for s in stages if s.rewards]
    chart = ""
    if checked:
        rights = [(sum(s.rewards or ()), len(s.rewards or ())) for s in checked]
        intervals = [exact_interval(*pair) for pair in rights]
        line = Series(
            "pass rate",
            [s.step for s in checked],
            [right / n for right, n in rights],
            [low for low, _ in intervals],
            [high for _, high in intervals],
        )
        title = "Pass rate, with 95% intervals"
        chart = line_chart(title, [line], x_title="step", y_format=share_label, unit=True)
    parts = [f'<div class="charts">{chart}</div>', "<h3>Most frequent answers</h3>", _bands(stages)]
    parts.append("<h3>One sample of each</h3>")
    for s in stages:
        right = "" if s.rewards is None else f", {percent(sum(s.rewards) / len(s.rewards))} right"
        parts.append(
            f"<details><summary>{code(s.name)}{right}</summary>"
            f"<pre>{code(str(s.texts[0])[:20_000])}</pre></details>"
        )
    return "".join(parts)


def _bands(stages: Sequence[Stage]) -> str:
    """A bar for each checkpoint, cut by answer: equal answers have the same colour in all."""
    answers = [a for s in stages for a in s.answers]
    kinds = classes(answers)
    counts = pandas.Series(kinds, dtype=object).dropna().value_counts()
    top = list(counts.index[:BANDS])
    rows, at = [], 0
    for s in stages:
        mine = kinds[at : at + len(s.answers)]
        at += len(s.answers)
        cells = []
        for place, kind in enumerate([*top, "other"]):
            n = sum(k == kind for k in mine) if kind != "other" else sum(k not in top for k in mine)
            if n:
                other = kind == "other"
                name = "others, none" if other else str(answers[kinds.index(kind)])[:40]
                cells.append(
                    f'<span class="band{BANDS if other else place}" '
                    f'style="width:{100 * n / len(mine):.2f}%" '
                    f'title="{code(name)}: {n} of {len(mine)}">{code(name)}</span>'
                )
        rows.append(
            f'<tr><th scope="row">{code(s.name)}</th><td style="width:85%">'
            f'<div class="stacked">{"".join(cells)}</div></td></tr>'
        )
    return f'<table class="pairs" style="width:100%"><tbody>{"".join(rows)}</tbody></table>'
