"""From a rollout to pieces of bounded size, each packed for one pass without padding."""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sampling.packed import PackedGroups
from train.losses import Normalizer
from train.rollout import Rollout

Unit = list[tuple[int, int]]  # completions, each as (group, member)


@dataclasses.dataclass
class Piece:
    """Some completions of one minibatch, packed for one pass; `rows` are their (group, member)."""

    layout: PackedGroups
    rows: list[tuple[int, int]]
    advantages: Float[Tensor, "B"] | Float[Tensor, "B T"]
    sampler_logprobs: Float[Tensor, "B T"] | None  # None: nobody sampled them
    mask: Tensor  # [B, T]
    old_logprobs: Float[Tensor, "B T"] | None = None
    ref_logprobs: Float[Tensor, "B T"] | None = None
    frozen: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # what else must not move


@dataclasses.dataclass
class Minibatch:
    """What one optimiser step learns from."""

    pieces: list[Piece]
    whole: Normalizer


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


def pack(rollout: Rollout, part: Unit, device: Any) -> Piece:
    """Pack completions, those of a group adjacent, for one pass."""
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
    advantages = torch.stack([rollout.advantages[g, i] for g, i in rows]).to(device)
    return Piece(layout, rows, advantages, sampled, layout.mask)
