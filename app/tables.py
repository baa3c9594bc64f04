"""Tables and maps whose rows open something: sorted and filtered here, drawn as HTML.

A click, or Enter on a row, comes back as one event (`chosen`) that holds `sort`, `row` or `more`.
"""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.formulas import DELIMITERS
from app.html import code
from app.values import MAX_LABEL, text
from common.errors import UserError

PAGE = 60  # rows at a time
MOST_ROWS = 3000
# `trigger` and `watch` are what Gradio hands to the script of an HTML component.
SCRIPT = """
let last = null;
const tell = (event) => {
  const at = event.target.closest('[data-sort], [data-row], [data-more]');
  if (!at || event.target.closest('a, summary')) return;
  const {sort, row, more} = at.dataset;
  last = sort !== undefined ? `[data-sort="${CSS.escape(sort)}"]` : null;
  if (row !== undefined) {
    element.querySelectorAll('tr.open').forEach((one) => one.classList.remove('open'));
    at.classList.add('open');
    element.dispatchEvent(new CustomEvent('opened', {bubbles: true}));
  }
  trigger('select', sort !== undefined ? {sort} : row !== undefined ? {row} : {more: true});
};
element.addEventListener('click', tell);
element.addEventListener('keydown', (event) => {
  const row = event.target.closest('tr[data-row]');
  if (!row || event.target !== row) return;
  const step = {ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling'}[event.key];
  if (step && row[step]) { event.preventDefault(); event.stopPropagation(); row[step].focus(); }
  else if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); tell(event); }
});
element.addEventListener('zoom', (event) => trigger('select', event.detail));
watch('value', () => last && element.querySelector(last)?.focus());
"""

Order = tuple[str, bool]  # the column sorted by, and whether the largest comes first


def table_box(**options: Any) -> gr.HTML:
    """A place for a table, a map or zoomable charts; its `select` tells what was chosen."""
    return gr.HTML(js_on_load=SCRIPT, **options)


def table_beside_a_problem(name: str, hint: str) -> tuple[gr.HTML, gr.Markdown, gr.Column]:
    """A table, the problem that a row of it opens, and the column below that problem.

    `name`: the element ids of both; `hint`: what stands there until a row is chosen.
    """
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            table = table_box(elem_id=name)
        with gr.Column(scale=2, min_width=320) as beside:
            question = gr.Markdown(hint, elem_id=f"{name.partition('-')[0]}-question",
                                   elem_classes="problem", latex_delimiters=DELIMITERS)  # fmt: skip
    return table, question, beside


def chosen(event: gr.EventData) -> dict[str, Any]:
    """What was chosen in a table: {"sort": column}, {"row": id}, {"more": True} or {"from", "to"}.

    Raises UserError for anything else.
    """
    data = event._data
    if not isinstance(data, dict) or len(data) > 2:
        raise UserError("choose a row of the table")
    for key in ("sort", "row"):
        if key in data:
            return {key: text(data[key], "the row", MAX_LABEL)}
    if data.get("more") is True:
        return {"more": True}
    low, high = data.get("from"), data.get("to")
    if (
        isinstance(low, int | float)
        and isinstance(high, int | float)
        and -1e12 < low <= high < 1e12
    ):
        return {"from": float(low), "to": float(high)}
    return {}


def next_order(order: Order, column: str) -> Order:
    """The order after a click on a column: largest first, then smallest first, then as it was."""
    if order[0] != column:
        return column, True
    return (column, False) if order[1] else ("", False)


def rows_html(
    name: str,
    columns: Sequence[tuple[str, str, str]],
    rows: Sequence[tuple[str, Sequence[str]]],
    order: Order,
    total: int,
    *,
    sortable: bool = True,
) -> str:
    """A table: columns as (key, title, CSS class), rows as (id, cells as HTML)."""
    heads = []
    for key, title, kind in columns:
        arrow = (" ▼" if order[1] else " ▲") if key == order[0] else ""
        sorting = {"": "none", " ▼": "descending", " ▲": "ascending"}[arrow]
        inside = code(title + arrow)
        if sortable:
            inside = f'<button type="button" data-sort="{code(key)}">{inside}</button>'
        heads.append(f'<th scope="col" class="{kind}" aria-sort="{sorting}">{inside}</th>')
    body = "".join(
        f'<tr data-row="{code(row)}" tabindex="0">'
        + "".join(
            f'<td class="{kind}">{cell}</td>'
            for (_, _, kind), cell in zip(columns, cells, strict=True)
        )
        + "</tr>"
        for row, cells in rows
    )
    count = f"<p>{total:,} {code(name)}</p>" if total != 1 else f"<p>1 of the {code(name)}</p>"
    return (
        f'{count}<div class="scroll" data-name="{code(name)}"><table class="rows"><thead><tr>'
        f"{''.join(heads)}</tr></thead><tbody>{body}</tbody></table>{more_html(len(rows), total)}"
        "</div>"
    )


def more_html(shown: int, total: int) -> str:
    """A button that asks for more rows, where there are more."""
    if shown >= total:
        return ""
    if shown >= MOST_ROWS:
        return f"<p>{total - shown:,} more: narrow the search to see them.</p>"
    return (
        f'<p><button type="button" class="link" data-more="1">Show more '
        f"({total - shown:,} left)</button></p>"
    )
