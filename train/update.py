"""One rollout in, one better policy out: gradients summed over micro-batches, clipped, stepped."""

import math
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from common import ranks
from train.algorithms.base import Algorithm, Forward
from train.batch import Batch, MicroBatch
from train.losses import kl_estimate
from train.parallel import add_gradients, sum_tallies
from train.records.metrics import Metrics

if TYPE_CHECKING:
    from train.policy import Policy


def update(
    policy: "Policy",
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    algorithm: Algorithm,
    rate: float,
) -> Metrics:
    """Take `epochs` × `minibatches` optimiser steps at learning rate `rate` on a batch.

    Each rank passes its share of the micro-batches; their gradients are summed before a step.

    A step whose gradient is not finite is skipped and counted. Returns means over the tokens
    that were trained on (None where nothing was).
    """
    begun = time.perf_counter()
    torch.manual_seed(batch.rollout.seed + ranks.rank())  # for dropout, if there is any
    for group in optimizer.param_groups:
        group["lr"] = rate * group["relative"]
    means = algorithm.take_step(batch)
    if means is None:
        means = _descend(policy, optimizer, batch, algorithm)
    means |= algorithm.finish(batch, means)
    return {**means, "lr": rate, "time/train_s": time.perf_counter() - begun}


def _descend(
    policy: "Policy", optimizer: torch.optim.Optimizer, batch: Batch, algorithm: Algorithm
) -> Metrics:
    settings, sums = algorithm.config.optimizer, MetricSums()
    policy.model.train()
    for epoch in range(settings.epochs):
        for minibatch in batch.minibatches(epoch):
            if not minibatch.units:
                continue
            for micro in batch.micro_batches(minibatch.units):
                forward = forward_pass(policy, micro, algorithm.entropy_gradient)
                out = algorithm.loss(micro, forward, minibatch.whole)
                if not micro.counts:
                    (out.loss * 0).backward()
                    continue
                out.loss.backward()
                sums.add_sampler_gap(micro, forward.logprobs, epoch)
                sums.add(out.loss, out.metrics, forward.entropy.detach(), micro)
            add_gradients(optimizer)
            norm = _clip(optimizer, settings.max_grad_norm)
            if math.isfinite(norm):  # else the step is skipped, and counted
                optimizer.step()
            sums.add_step(norm)
            optimizer.zero_grad(set_to_none=True)
    policy.model.eval()
    sums.take_all_ranks()
    return sums.means()


def forward_pass(policy: "Policy", micro: MicroBatch, entropy_gradient: bool = False) -> Forward:
    """The policy's log-probs, entropies and hidden states on a micro-batch."""
    states = policy.states(micro.layout)
    logprobs, entropy = policy.logprobs(
        micro.layout, states=states, entropy_gradient=entropy_gradient
    )
    return Forward(logprobs, entropy, states)


def _clip(optimizer: torch.optim.Optimizer, limit: float) -> float:
    """Clip the gradients of actor and critic, each to a norm; returns the actor's before.

    Not a number where any of them is not finite.
    """
    norms = [float(clip_grad_norm_(g["params"], limit)) for g in optimizer.param_groups]
    return norms[0] if all(map(math.isfinite, norms)) else math.nan


PART = "part/"  # before the name of a part of the loss, among a loss's metrics


class MetricSums:
    """Sums over micro-batches and steps, made into the means that metrics.jsonl shows.

    What a micro-batch adds stays on its device until the end: reading it would wait for the GPU.
    """

    def __init__(self) -> None:
        self._kept: dict[str, list[Tensor]] = {}
        self.loss = 0.0
        self.steps = 0
        self.skipped = 0
        self.norm = 0.0
        self.sums: dict[str, float] = {}
        self.ratio_max: float | None = None
        self.with_kl = False

    def _add(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._kept.setdefault(name, []).append(value.detach())

    def _read(self) -> None:
        """Read what was kept, once for each name."""
        for name, values in self._kept.items():
            numbers = torch.stack([value.double() for value in values]).tolist()
            if name == "loss":
                self.loss = sum(numbers, start=self.loss)
            elif name == "ratio_max":
                known = [] if self.ratio_max is None else [self.ratio_max]
                self.ratio_max = max([*known, *numbers])
            else:
                self.sums[name] = sum(numbers, start=self.sums.get(name, 0.0))
        self._kept = {}

    def add_sampler_gap(self, micro: MicroBatch, logprobs: Tensor, epoch: int = 0) -> None:
        """How far the policy's log-probs are from those the sampler said it used.

        Only of the policy that sampled: what was frozen before the update, without dropout, or
        else a pass before the first optimiser step.
        """
        if micro.sampler_logprobs is None or epoch:
            return
        if micro.old_logprobs is not None:
            logprobs = micro.old_logprobs
        elif self.steps:
            return
        gap = kl_estimate(micro.sampler_logprobs, logprobs.detach(), "k3") * micro.mask
        self._add(sampler_kl=gap.sum(), sampled_tokens=micro.mask.sum())

    def add(
        self, loss: Tensor, metrics: dict[str, Tensor], entropy: Tensor, micro: MicroBatch
    ) -> None:
        """A micro-batch's loss with the sums of its metrics."""
        self.with_kl |= micro.ref_logprobs is not None
        self._add(loss=loss, entropy=(entropy * micro.mask).sum(), **metrics)

    def take_all_ranks(self) -> None:
        """Make the sums those of all ranks."""
        self._read()
        self.sums = sum_tallies({**self.sums, "loss": self.loss})
        self.loss = self.sums.pop("loss")
        tops = [top for top in ranks.gather(self.ratio_max) if top is not None]
        self.ratio_max = max(tops, default=None)
        self.with_kl = ranks.any_of(self.with_kl)

    def add_step(self, norm: float) -> None:
        """An optimiser step with its gradient's norm."""
        self.steps += 1
        if math.isfinite(norm):
            self.norm += norm
        else:
            self.skipped += 1

    def means(self) -> Metrics:
        """What metrics.jsonl shows of an update."""
        self._read()
        tokens = self.sums.get("tokens", 0.0)

        def mean(name: str, count: float = tokens) -> float | None:
            return self.sums[name] / count if count else None

        good = self.steps - self.skipped
        return {
            "loss": self.loss / self.steps if self.steps else 0.0,
            "kl": mean("kl_sum") if self.with_kl else None,
            "entropy": mean("entropy"),
            "clip_fraction": mean("clipped"),
            "ratio/mean": mean("ratio_sum"),
            "ratio/max": self.ratio_max,
            "sampler_kl": mean("sampler_kl", self.sums.get("sampled_tokens", 0.0)),
            "grad_norm": self.norm / good if good else None,
            "skipped_steps": self.skipped,
            **self._correction(tokens),
            **self._per_step(),
        }

    def _per_step(self) -> Metrics:
        """Parts of the loss that an algorithm reports apart, such as its critic's."""
        return {
            name.removeprefix(PART): total / self.steps
            for name, total in self.sums.items()
            if name.startswith(PART)
        }

    def _correction(self, tokens: float) -> Metrics:
        if "weight_sum" not in self.sums:
            return {}
        return {
            "correction/mean_weight": self.sums["weight_sum"] / max(1.0, tokens),
            "correction/dropped": self.sums["dropped"] / max(1.0, tokens),
        }
