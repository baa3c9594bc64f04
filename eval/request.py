"""What `python -m eval` was asked to do, and where the results go."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError
from data import Problem
from data.load import set_name
from sampling import SamplingParams

BASE = "base"  # among the adapters: the model without any


def check_ks(ks: Sequence[int], n: int) -> None:
    """Raises UserError unless there are k's, all between 1 and the n samples of a problem."""
    if not ks:
        raise UserError("name at least one k for pass@k")
    for k in ks:
        if k < 1:
            raise UserError(f"k must be at least 1, not {k}")
        if k > n:
            raise UserError(f"pass@{k} needs at least {k} samples a problem, but n is {n}")


@dataclasses.dataclass(frozen=True)
class EvalRequest:
    """Every adapter (None: the base itself) on every set, n samples a problem.

    `prompt` holds the settings of `data.PromptTemplate`, `options` those of the sampling engine.
    """

    model: str
    adapters: list[str | None]
    sets: dict[str, list[Problem]]
    params: SamplingParams
    n: int
    ks: list[int]
    prompt: dict[str, Any]
    backend: str = "auto"
    dtype: str = "auto"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    export: bool = False

    def with_sets(self, sets: dict[str, list[Problem]]) -> "EvalRequest":
        """The same of sets that are loaded."""
        return dataclasses.replace(self, sets=sets)

    @property
    def single(self) -> bool:
        """Whether there is one result only, which is then the output folder itself."""
        return len(self.adapters) == len(self.sets) == 1

    @property
    def names(self) -> list[str]:
        """A short name for each adapter, unlike the others."""
        short = [Path(a).resolve().name if a else BASE for a in self.adapters]
        long = [_slug(str(a)) if a else BASE for a in self.adapters]
        return _apart(short, long, "adapters")

    @property
    def set_names(self) -> list[str]:
        """A short name for each set, unlike the others."""
        return _apart([set_name(s) for s in self.sets], [_slug(s) for s in self.sets], "sets")

    def places(self, out: Path) -> dict[tuple[str, str], Path]:
        """The result folder of each (set, adapter's name): `out`, or `out/SET/NAME` of several."""
        if self.single:
            return {(next(iter(self.sets)), self.names[0]): out}
        return {
            (source, name): out / folder / name
            for source, folder in zip(self.sets, self.set_names, strict=True)
            for name in self.names
        }


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")


def _apart(short: list[str], long: list[str], what: str) -> list[str]:
    """The short names, where two are alike the long ones; raises UserError if these are too."""
    names = [s if short.count(s) == 1 else x for s, x in zip(short, long, strict=True)]
    if len(set(names)) < len(names):
        raise UserError(f"two of the {what} would be called {max(names, key=names.count)}")
    return names
