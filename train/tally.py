"""Sums over the pieces and steps of an update, made into the means that metrics.jsonl shows."""

import math

from torch import Tensor

from train.losses import kl_estimate
from train.metrics import Metrics
from train.packing import Piece


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
        if piece.sampler_logprobs is None:
            return
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
