"""A rollout made ready to learn from, and its micro-batches: bounded in size, packed, unpadded.

What must not move during an update (advantages, log-probs of the old policy and the reference,
values) is kept for each completion, so that every epoch may split and pack anew.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from common import ranks
from common.shapes import B_T, P_N
from train.losses import Normalizer
from train.parallel import gather_frozen, own_parts
from train.rollout import Rollout

if TYPE_CHECKING:
    from models.packed import PackedGroups

Row = tuple[int, int]  # a completion, as (group, member)
Unit = list[Row]  # completions that must stay in one micro-batch

Choose = Callable[[Rollout, list[int]], list[Unit]]
Normalize = Callable[[Rollout, list[int], list[Unit]], Normalizer]


@dataclasses.dataclass
class MicroBatch:
    """Some completions of one minibatch, packed for one pass; `rows` are their (group, member)."""

    layout: "PackedGroups"
    rows: list[Row]
    mask: Bool[Tensor, B_T]
    sampler_logprobs: Float[Tensor, B_T] | None = None  # None: nobody sampled them
    advantages: Any = None  # [B] or [B, T]; None where the algorithm has none
    old_logprobs: Float[Tensor, B_T] | None = None
    ref_logprobs: Float[Tensor, B_T] | None = None
    frozen: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # what else must not move
    counts: bool = True  # False: passed only to keep step with other ranks


@dataclasses.dataclass(frozen=True)
class Minibatch:
    """What one optimiser step learns from."""

    units: list[Unit]
    whole: Normalizer


class Batch:
    """A rollout with the advantages it is trained with and all that is frozen during the update."""

    def __init__(
        self,
        rollout: Rollout,
        choose: Choose,
        normalizer: Normalize,
        *,
        tokens_per_pass: int,
        minibatches: int = 1,
        device: Any = "cpu",
        even: bool = False,
    ):
        """`choose` says what of some groups teaches, `normalizer` what their averages run over.

        With `even`, all ranks pass equally many micro-batches; see `own_parts`.
        """
        self.rollout = rollout
        self._choose, self._normalizer = choose, normalizer
        self._tokens_per_pass, self._count, self._device = tokens_per_pass, minibatches, device
        self._even = even
        self._frozen: dict[str, dict[Row, Tensor]] = {}

    def minibatches(self, epoch: int = 0) -> list[Minibatch]:
        """The groups of the rollout, split at random; each epoch splits anew."""
        groups = list(range(len(self.rollout.prompts)))
        if self._count > 1:
            name = f"{self.rollout.seed}/minibatches" + (f"/{epoch}" if epoch else "")
            random.Random(name).shuffle(groups)
        found = []
        for first in range(self._count):
            mine = groups[first :: self._count]
            units = self._choose(self.rollout, mine)
            found.append(Minibatch(units, self._normalizer(self.rollout, mine, units)))
        return found

    def micro_batches(self, units: list[Unit]) -> Iterator[MicroBatch]:
        """This rank's share of units of completions, packed one micro-batch at a time."""
        parts = split_fairly(self.rollout, units, self._tokens_per_pass, ranks.size())
        for part, counts in own_parts(parts, even=self._even):
            micro = pack(self.rollout, part, self._device, self._frozen)
            micro.counts = counts
            yield micro

    def all_micro_batches(self) -> Iterator[MicroBatch]:
        """Everything that the first epoch learns from, as far as it is this rank's."""
        for minibatch in self.minibatches():
            yield from self.micro_batches(minibatch.units)

    def freeze(self, name: str, compute: Callable[[MicroBatch], Tensor]) -> None:
        """Keep what `compute` makes of each micro-batch, `[B]` or `[B, T]`, by completion."""
        kept: dict[Row, Tensor] = {}
        for micro in self.all_micro_batches():
            values = compute(micro)
            for place, row in enumerate(micro.rows):
                value = values[place]
                kept[row] = value[: int(micro.mask[place].sum())] if value.ndim else value
        self._frozen[name] = gather_frozen(kept)

    def whiten_advantages(self) -> None:
        """Bring the advantages of all tokens to mean 0 and standard deviation 1."""
        kept = self._frozen["advantages"]
        if kept:
            every = torch.cat([value.flatten() for value in kept.values()])
            mean = every.mean()
            spread = (every.std() if len(every) > 1 else 0.0) + 1e-8
            self._frozen["advantages"] = {row: (x - mean) / spread for row, x in kept.items()}

    def frozen(self, name: str) -> dict[Row, Tensor]:
        """What was frozen under a name, by completion."""
        return self._frozen.get(name, {})

    def set_advantages(self, advantages: Float[Tensor, P_N]) -> None:
        """One advantage for each completion."""
        p, n = advantages.shape
        self._frozen["advantages"] = {(g, i): advantages[g, i] for g in range(p) for i in range(n)}

    def advantages(self) -> list[list[float | list[float] | None]]:
        """`[P][N]`: what the loss is given, a number or one per token; None: it is given none."""
        known = self._frozen.get("advantages", {})
        return [
            [known[g, i].tolist() if (g, i) in known else None for i in range(len(group))]
            for g, group in enumerate(self.rollout.completions)
        ]


def split_fairly(
    rollout: Rollout, units: list[Unit], tokens_per_pass: int, workers: int
) -> list[Unit]:
    """Units of completions cut into parts that keep all workers equally busy, where it can be."""
    parts = split(rollout, units, tokens_per_pass)
    if workers == 1 or not parts:
        return parts
    rounds = math.ceil(len(parts) / workers)
    tokens = sum(len(rollout.completions[g][i].token_ids) for unit in units for g, i in unit)
    tokens += sum(len(rollout.prompts[g]) for g in {g for unit in units for g, _ in unit})
    for slack in range(10):  # parts of one size seldom come out even at the first try
        limit = math.ceil(tokens / (rounds * workers) * (1 + slack / 10))
        finer = split(rollout, units, min(limit, tokens_per_pass))
        if len(finer) <= rounds * workers:
            return finer
    return parts


def split(rollout: Rollout, units: list[Unit], tokens_per_pass: int) -> list[Unit]:
    """Cut units of completions into parts of at most `tokens_per_pass` tokens each.

    Groups of like length travel together, as attention pads to the longest; a group is cut only
    where it does not fit, as each part computes the prompt anew, and a unit is never cut.
    """
    by_group: dict[int, list[Unit]] = {}
    for unit in units:
        by_group.setdefault(unit[0][0], []).append(unit)

    def length(unit: Unit) -> int:
        return sum(len(rollout.completions[g][i].token_ids) for g, i in unit)

    def cost(g: int) -> int:
        return len(rollout.prompts[g]) + sum(map(length, by_group[g]))

    parts: list[Unit] = []
    part: Unit = []
    used = 0
    for g in sorted(by_group, key=cost):
        if part and used + cost(g) > tokens_per_pass:
            parts.append(part)
            part, used = [], 0
        if cost(g) <= tokens_per_pass:
            part += [row for unit in by_group[g] for row in unit]
            used += cost(g)
            continue
        used = len(rollout.prompts[g])
        for unit in by_group[g]:
            if part and used + length(unit) > tokens_per_pass:
                parts.append(part)
                part, used = [], len(rollout.prompts[g])
            part += unit
            used += length(unit)
    return [*parts, part] if part else parts


def pack(
    rollout: Rollout,
    part: Unit,
    device: Any,
    frozen: Mapping[str, Mapping[Row, Tensor]] | None = None,
) -> MicroBatch:
    """Pack completions, those of a group adjacent, with what is frozen of them, for one pass."""
    from models.packed import PackedGroups  # transformers: not before a run begins

    order = list(dict.fromkeys(g for g, _ in part))
    members = {g: [i for h, i in part if h == g] for g in order}
    rows = [(g, i) for g in order for i in members[g]]
    layout = PackedGroups(
        [rollout.prompts[g] for g in order],
        [[rollout.completions[g][i].token_ids for i in members[g]] for g in order],
        device,
    )
    flat = [x for g, i in rows for x in rollout.completions[g][i].logprobs]
    sampled: Tensor | None = None
    if flat:
        sampled = torch.zeros(layout.mask.shape, device=device)
        sampled[layout.mask] = torch.tensor(flat, device=device)
    micro = MicroBatch(layout, rows, layout.mask, sampled)
    for name, kept in (frozen or {}).items():
        if not all(row in kept for row in rows):
            continue  # being frozen, or of other completions
        values = _gathered([kept[row] for row in rows], layout.mask)
        if name in ("advantages", "old_logprobs", "ref_logprobs"):
            setattr(micro, name, values)
        else:
            micro.frozen[name] = values
    return micro


def _gathered(values: list[Tensor], mask: Bool[Tensor, B_T]) -> Tensor:
    """`[B]` from numbers, `[B, T]` from one number a token."""
    if not values[0].ndim:
        return torch.stack(values).to(mask.device)
    padded = torch.zeros(mask.shape, dtype=values[0].dtype, device=mask.device)
    padded[mask] = torch.cat(values).to(mask.device)
    return padded
