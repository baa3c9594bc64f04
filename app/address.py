"""A view can be shared: what is looked at stands in the page's address, and comes back from it."""

import json
from collections.abc import Sequence


def remember(names: Sequence[str]) -> str:
    """JavaScript that writes the values of an event's inputs into the address, under `names`."""
    return f"""(...values) => {{
  const query = new URLSearchParams(window.location.search);
  {json.dumps(list(names))}.forEach((name, i) => {{
    const value = values[i];
    if (value === null || value === undefined || String(value) === '') query.delete(name);
    else query.set(name, value);
  }});
  window.history.replaceState(window.history.state, '', '?' + query);
}}"""


def number_in(text: str | None, low: float, high: float) -> float:
    """A number from the address, within bounds; the lower bound for anything else."""
    try:
        found = float(text or low)
    except ValueError:
        return low
    return min(max(found, low), high) if found == found else low
