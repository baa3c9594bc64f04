"""One policy update: a rollout in, optimiser steps done, metrics out.

Groups without signal are counted in the averages but never pay for a pass. The rest is packed
into pieces of bounded size whose gradients add up to the gradient of the whole minibatch.
"""

import dataclasses
import math
import random
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sampling.packed import PackedGroups
from train.config import Grpo
from train.losses import Normalizer, kl_estimate, policy_loss
from train.policy import Policy
from train.rollout import Rollout


@dataclasses.dataclass
class Piece:
    """Some completions of one minibatch, packed for one pass."""

    layout: PackedGroups
    advantages: Float[Tensor, "B"]
    sampler_logprobs: Float[Tensor, "B T"]
    mask: Tensor  # [B, T], without the truncated completions if these are masked
    old_logprobs: Float[Tensor, "B T"] | None = None
    ref_logprobs: Float[Tensor, "B T"] | None = None


@dataclasses.dataclass
class Minibatch:
    """What one optimiser step learns from."""

    pieces: list[Piece]
    whole: Normalizer


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    settings: Grpo,
    *,
    max_tokens: int,
    tokens_per_pass: int,
    max_grad_norm: float,
    seed: int,
) -> dict[str, float | None]:
    """Take `epochs` × `minibatches` optimiser steps on a rollout.

    A step whose gradient is not finite is skipped and counted. Returns means over the tokens
    that were trained on (None where nothing was).
    """
    batches = minibatches(rollout, settings, policy.device, tokens_per_pass, seed)
    tally = Tally()
    once = settings.epochs * settings.minibatches == 1
    for batch in batches:
        for piece in batch.pieces:
            if settings.beta:
                with policy.as_reference():
                    piece.ref_logprobs, _ = policy.logprobs(piece.layout)
            if not once:
                with torch.no_grad():
                    piece.old_logprobs, _ = policy.logprobs(piece.layout)
    policy.model.train()
    for epoch in range(settings.epochs):
        for batch in batches:
            if not batch.pieces:
                continue
            for piece in batch.pieces:
                logprobs, entropy = policy.logprobs(
                    piece.layout, entropy_gradient=bool(settings.entropy_bonus)
                )
                if epoch == 0:
                    tally.sampler_gap(piece, logprobs)
                old = logprobs.detach() if piece.old_logprobs is None else piece.old_logprobs
                out = policy_loss(
                    logprobs,
                    old,
                    piece.advantages,
                    piece.mask,
                    ref_logprobs=piece.ref_logprobs,
                    loss=settings.loss,
                    epsilon=settings.epsilon,
                    epsilon_high=settings.epsilon_high,
                    beta=settings.beta,
                    kl=settings.kl,
                    max_tokens=max_tokens,
                    whole=batch.whole,
                    dual_clip=settings.dual_clip,
                    entropy=entropy,
                    entropy_bonus=settings.entropy_bonus,
                    sampler_logprobs=piece.sampler_logprobs,
                    correction=settings.correction,
                    correction_cap=settings.correction_cap,
                )
                out.loss.backward()
                tally.add(out.loss, out.metrics, entropy.detach(), piece.mask)
            norm = torch.nn.utils.clip_grad_norm_(policy.parameters, max_grad_norm)
            if math.isfinite(float(norm)):  # else the step is skipped, and counted
                optimizer.step()
            tally.step(float(norm))
            optimizer.zero_grad(set_to_none=True)
    policy.model.eval()
    return tally.means(with_kl=settings.beta > 0)


def minibatches(
    rollout: Rollout, settings: Grpo, device: Any, tokens_per_pass: int, seed: int
) -> list[Minibatch]:
    """Split the groups at random into minibatches, each packed into pieces."""
    groups = list(range(len(rollout.prompts)))
    if settings.minibatches > 1:
        random.Random(f"{seed}/minibatches").shuffle(groups)
    signal = rollout.signal.tolist()
    batches = []
    for first in range(settings.minibatches):
        mine = groups[first :: settings.minibatches]
        kept = [
            (g, i, completion)
            for g in mine
            for i, completion in enumerate(rollout.completions[g])
            if not (settings.mask_truncated and completion.finish_reason == "length")
        ]
        whole = Normalizer(
            sequences=max(1, sum(len(rollout.completions[g]) for g in mine)),
            tokens=max(1, sum(len(completion.token_ids) for _, _, completion in kept)),
        )
        chosen = [(g, i) for g, i, _ in kept if signal[g]]
        pieces = [pack(rollout, part, device) for part in split(rollout, chosen, tokens_per_pass)]
        batches.append(Minibatch(pieces, whole))
    return batches


def split(
    rollout: Rollout, chosen: list[tuple[int, int]], tokens_per_pass: int
) -> list[list[tuple[int, int]]]:
    """Cut (group, member) pairs into parts of at most `tokens_per_pass` tokens each.

    Groups of like length travel together, as attention pads to the longest; a group is cut only
    where it does not fit, as each part computes the prompt anew.
    """
    by_group: dict[int, list[int]] = {}
    for g, i in chosen:
        by_group.setdefault(g, []).append(i)

    def cost(g: int) -> int:
        return len(rollout.prompts[g]) + sum(
            len(rollout.completions[g][i].token_ids) for i in by_group[g]
        )

    parts: list[list[tuple[int, int]]] = []
    part: list[tuple[int, int]] = []
    used = 0
    for g in sorted(by_group, key=cost):
        if part and used + cost(g) > tokens_per_pass:
            parts.append(part)
            part, used = [], 0
        if cost(g) <= tokens_per_pass:
            part += [(g, i) for i in by_group[g]]
            used += cost(g)
            continue
        used = len(rollout.prompts[g])
        for i in by_group[g]:
            length = len(rollout.completions[g][i].token_ids)
            if part and used + length > tokens_per_pass:
                parts.append(part)
                part, used = [], len(rollout.prompts[g])
            part.append((g, i))
            used += length
    return [*parts, part] if part else parts


def pack(rollout: Rollout, part: list[tuple[int, int]], device: Any) -> Piece:
    """Pack (group, member) pairs, members of a group adjacent, for one pass."""
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
    return Piece(layout, advantages, sampled, layout.mask)


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

    def means(self, *, with_kl: bool) -> dict[str, float | None]:
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
