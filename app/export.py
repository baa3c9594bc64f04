"""A view as one HTML file that opens anywhere: it runs nothing and fetches nothing."""

from collections.abc import Mapping
from typing import Any

from app.comparison import curves, headline, sides_html
from app.html import code, percent
from app.page_style import STYLE
from app.problem_table import KINDS, Filters, problem_table
from app.results import Found, Result, load
from eval.compare import compare

MOST = 500  # problems written out with their samples
# Neither script nor anything from elsewhere, whatever a model wrote.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, body: str) -> str:
    """A whole page around a body that is escaped already."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{code(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def comparison_page(a: Found, b: Found, filters: Filters) -> str:
    """A comparison: numbers, curves, and the problems of the filter with their samples."""
    results = [load(a), load(b)]
    table = problem_table(a, b, filters)
    parts = [
        f"<h1>{code(a.label)} and {code(b.label)}</h1>",
        headline(compare(*results), *results),
        f"<p>A: {code(a.label)}<br>B: {code(b.label)}</p>",
        curves(results),
        f"<h2>{len(table):,} problems: {code(KINDS[filters.kind])}</h2>",
    ]
    parts += [_problem(results, row) for row in table.head(MOST).to_dict("records")]
    if len(table) > MOST:
        parts.append(f"<p>{len(table) - MOST:,} more problems are left out.</p>")
    return document("comparison", "".join(parts))


def _problem(results: list[Result], row: Mapping[Any, Any]) -> str:
    """One problem of a comparison, folded."""
    name, question = str(row["problem"]), str(row["question"])
    return (
        f"<details><summary>{code(name)}: A {percent(row['a'])}, B {percent(row['b'])} — "
        f"{code(question[:120])}</summary><p>{code(question)}</p>"
        f"<p>Correct answer: <b>{code(row['gold'])}</b></p>"
        f'<div class="sides">{sides_html(results, name)}</div></details>'
    )
