"""The problems of two results side by side: filtered, searched and sorted."""

import dataclasses
import functools

import pandas

from app.results import Found, load, rates

KINDS = {
    "all": "all problems",
    "fixed": "fixed (B better)",
    "broken": "broken (B worse)",
    "right": "always right in both",
    "wrong": "always wrong in both",
    "truncated": "with a cut-off answer",
    "unanswered": "with no answer found",
}
SORTS = ("problem", "question", "gold", "level", "a", "b", "change")
ALL = "all"


@functools.lru_cache(maxsize=4)
def _joined(a: Found, b: Found, _stamp: object) -> pandas.DataFrame:
    first, second = load(a)[1], load(b)[1]
    table = first.drop_duplicates("problem").set_index("problem")
    table = table[["question", "gold", "level", "source"]].copy()
    table["a"], table["b"] = rates(first), rates(second).reindex(table.index)
    table["change"] = table["b"] - table["a"]
    for name in ("truncated", "unanswered"):
        either = [
            _any(samples, name).reindex(table.index, fill_value=False)
            for samples in (first, second)
        ]
        table[name] = either[0] | either[1]
    words = [table.index.to_series(), table["question"].fillna(""), table["gold"].fillna("")]
    table["found"] = (words[0] + "\n" + words[1] + "\n" + words[2]).str.lower()
    return table.reset_index()


def _any(samples: pandas.DataFrame, name: str) -> pandas.Series:
    """Of each problem, whether any of its samples was cut off, or had no answer."""
    mask = samples["truncated"].astype(bool) if name == "truncated" else samples["extracted"].isna()
    return mask.groupby(samples["problem"], sort=False).any()


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which problems to show: of a kind, a level, a source, with all of some words."""

    kind: str = "all"
    level: str = ALL
    source: str = ALL
    words: str = ""


def problem_table(
    a: Found, b: Found, filters: Filters, order: tuple[str, bool] = ("", False)
) -> pandas.DataFrame:
    """One row a problem: question, gold, level, source, both rates (a, b) and their change."""
    table = _joined(a, b, (id(load(a)[1]), id(load(b)[1])))
    keep = {
        "all": table["a"] >= 0,
        "fixed": table["change"] > 0,
        "broken": table["change"] < 0,
        "right": (table["a"] == 1) & (table["b"] == 1),
        "wrong": (table["a"] == 0) & (table["b"] == 0),
        "truncated": table["truncated"],
        "unanswered": table["unanswered"],
    }[filters.kind]
    for column, value in (("level", filters.level), ("source", filters.source)):
        if value != ALL:
            keep = keep & (table[column] == value)
    for word in filters.words.lower().split():
        keep = keep & table["found"].str.contains(word, regex=False)
    table = table[keep]
    if order[0] in SORTS:
        table = table.sort_values(order[0], ascending=not order[1], kind="stable")
    return table


def values_of(a: Found, b: Found, column: str) -> list[str]:
    """What the problems have as level or source, to filter by."""
    table = problem_table(a, b, Filters())
    return [ALL, *sorted(set(table[column].dropna().astype(str)))]
