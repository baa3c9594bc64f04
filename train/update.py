"""One policy update: a rollout in, optimiser steps done, metrics out.

Completions are packed into pieces of bounded size whose gradients add up to the gradient of the
whole minibatch. What is learned from them is the algorithm's affair.
"""

import math
import random
from typing import Any

import torch
from torch import Tensor

from sampling.packed import PackedGroups
from train.algorithms.base import Algorithm, Forward, Minibatch, Piece, Unit
from train.losses import kl_estimate
from train.metrics import Metrics
from train.rollout import Rollout


def update(
    algorithm: Algorithm, optimizer: torch.optim.Optimizer, rollout: Rollout, *, seed: int
) -> Metrics:
    """Take `epochs` × `minibatches` optimiser steps on a rollout.

    A step whose gradient is not finite is skipped and counted. Returns means over the tokens
    that were trained on (None where nothing was).
    """
    policy, settings = algorithm.policy, algorithm.config.grpo
    batches = minibatches(algorithm, rollout, seed)
    algorithm.prepare(batches, rollout)
    parameters = algorithm.parameters()
    tally = Tally()
    policy.model.train()
    for epoch in range(settings.epochs):
        if epoch:
            random.Random(f"{seed}/epoch/{epoch}").shuffle(batches)
        for batch in batches:
            if not batch.pieces:
                continue
            for piece in batch.pieces:
                states = policy.states(piece.layout)
                logprobs, entropy = policy.logprobs(
                    piece.layout, states=states, entropy_gradient=algorithm.entropy_gradient
                )
                if epoch == 0:
                    tally.sampler_gap(piece, logprobs)
                out = algorithm.loss(piece, Forward(logprobs, entropy, states), batch.whole)
                out.loss.backward()
                tally.add(out.loss, out.metrics, entropy.detach(), piece.mask)
            norm = torch.nn.utils.clip_grad_norm_(
                parameters, algorithm.config.optimizer.max_grad_norm
            )
            if math.isfinite(float(norm)):  # else the step is skipped, and counted
                optimizer.step()
            tally.step(float(norm))
            optimizer.zero_grad(set_to_none=True)
    policy.model.eval()
    with_kl = any(piece.ref_logprobs is not None for batch in batches for piece in batch.pieces)
    means = tally.means(with_kl=with_kl)
    return {**means, **algorithm.finish(means)}


def minibatches(algorithm: Algorithm, rollout: Rollout, seed: int) -> list[Minibatch]:
    """Split the groups at random into minibatches, each packed into pieces."""
    count = algorithm.config.grpo.minibatches
    groups = list(range(len(rollout.prompts)))
    if count > 1:
        random.Random(f"{seed}/minibatches").shuffle(groups)
    size = algorithm.config.optimizer.pass_size()
    batches = []
    for first in range(count):
        mine = groups[first::count]
        units = algorithm.choose(rollout, mine, seed)
        parts = split(rollout, units, size)
        pieces = [pack(rollout, part, algorithm.policy.device) for part in parts]
        batches.append(Minibatch(pieces, algorithm.whole(rollout, mine, units)))
    return batches


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
    sampled = torch.zeros(layout.mask.shape, device=device)
    sampled[layout.mask] = torch.tensor(flat, device=device)
    advantages = torch.stack([rollout.advantages[g, i] for g, i in rows]).to(device)
    return Piece(layout, rows, advantages, sampled, layout.mask)


class Tally:
    """Sums over pieces and steps, made into the means that metrics.jsonl shows."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.steps = 0
        self.skipped = 0
        self.norm = 0.0
        self.sums: dict[str, float] = {}
        self.ratio_max: float | None = None

    def _add(self, **values: Tensor) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)

    def sampler_gap(self, piece: Piece, logprobs: Tensor) -> None:
        gap = kl_estimate(piece.sampler_logprobs, logprobs.detach(), "k3") * piece.mask
        self._add(sampler_kl=gap.sum(), sampled_tokens=piece.mask.sum())

    def add(self, loss: Tensor, metrics: dict[str, Tensor], entropy: Tensor, mask: Tensor) -> None:
        self.loss += float(loss.detach())
        top = float(metrics.pop("ratio_max"))
        self.ratio_max = top if self.ratio_max is None else max(self.ratio_max, top)
        self._add(entropy=(entropy * mask).sum(), **metrics)

    def step(self, norm: float) -> None:
        self.steps += 1
        if math.isfinite(norm):
            self.norm += norm
        else:
            self.skipped += 1

    def means(self, *, with_kl: bool = False) -> Metrics:
        tokens = self.sums.get("tokens", 0.0)

        def mean(name: str, count: float = tokens) -> float | None:
            return self.sums[name] / count if count else None

        good = self.steps - self.skipped
        return {
            "loss": self.loss / self.steps if self.steps else 0.0,
            "kl": mean("kl_sum") if with_kl else None,
            "entropy": mean("entropy"),
            "clip_fraction": mean("clipped"),
            "ratio/mean": mean("ratio_sum"),
            "ratio/max": self.ratio_max,
            "sampler_kl": mean("sampler_kl", self.sums.get("sampled_tokens", 0.0)),
            "grad_norm": self.norm / good if good else None,
            "skipped_steps": self.skipped,
        }
