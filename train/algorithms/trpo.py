"""Trust Region Policy Optimization (Schulman et al., arXiv 1502.05477) on the LoRA parameters.

    maximise  E[ ρ A ]    subject to    KL(π_old ‖ π_θ) ≤ δ                          (eq. 14)

The step is s = √(2δ / xᵀ(F + λ)x) · x with (F + λ) x = g, λ the damping, solved by conjugate
gradients from Fisher-vector products (the Hessian of the KL at π_old, by differentiating twice),
then halved until the measured KL is at most δ and the surrogate has risen. The first try's KL is
about δ · xᵀFx / xᵀ(F + λ)x: damping shortens it. The KL is the mean over the tokens that are
trained on, those of groups with a signal. Advantages are GRPO's. One step a rollout; the optimiser
is not used. A step whose gradient, curvature or KL is not finite is skipped and counted.
"""

import math
import random
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from common.shapes import P_N
from train.advantages import signal_advantages
from train.algorithms.base import Algorithm, Forward, token_sums
from train.batch import Batch, MicroBatch
from train.config.algorithm import AlgorithmSettings, Normalizes, SkipsTruncated
from train.losses import LossOutput, Normalizer
from train.records.metrics import Metrics
from train.rollout import Rollout
from train.update import MetricSums


class NaturalSettings(SkipsTruncated, Normalizes):
    one_step = True
    under_truncation = False

    delta: float = Field(0.001, gt=0.0, description="limit of the KL of a step, nats a token")
    damping: float = Field(0.1, ge=0.0, description="added to the Fisher matrix's diagonal")
    cg_steps: int = Field(10, ge=1, description="conjugate gradient steps")
    fisher_samples: int = Field(64, ge=1, description="completions the Fisher matrix is taken over")


class TrpoSettings(NaturalSettings):
    backtracks: int = Field(10, ge=1, description="halvings of a step that breaks the limit")


class Trpo(Algorithm):
    """Natural gradient under a KL limit, with line search."""

    Settings: ClassVar[type[AlgorithmSettings]] = TrpoSettings
    in_parallel = False  # its step is made of products that one process computes
    searches = True

    def advantages(self, rollout: Rollout) -> Float[Tensor, P_N]:
        return signal_advantages(
            rollout.shaped, rollout.signal, self.settings.scale, self.settings.baseline
        )

    def loss(self, micro: MicroBatch, forward: Forward, whole: Normalizer) -> LossOutput:
        """−E[ρ A] over the tokens of the minibatch."""
        assert micro.old_logprobs is not None
        ratio = ((forward.logprobs - micro.old_logprobs) * micro.mask).exp()
        gain = (ratio * micro.advantages[:, None] * micro.mask).sum() / whole.tokens
        none = torch.zeros_like(ratio)
        return LossOutput(-gain, token_sums(ratio, none.bool(), none, micro.mask))

    def freeze(self, batch: Batch) -> None:
        self.freeze_old(batch)

    def take_step(self, batch: Batch) -> Metrics:
        sums = MetricSums()
        [minibatch] = batch.minibatches()
        micros = list(batch.micro_batches(minibatch.units))
        if not micros:
            return sums.means()
        settings, whole = self.settings, minibatch.whole
        parameters = self.policy.parameters
        for micro in micros:
            self._surrogate(micro, whole, sums).backward()
        gradient = -flat([p.grad for p in parameters])
        for parameter in parameters:
            parameter.grad = None
        norm = float(gradient.norm())
        if not math.isfinite(norm) or not gradient.any():
            sums.add_step(norm)
            return sums.means()

        product = self.fisher(*self._fisher_batch(batch))

        def fisher(vector: Tensor) -> Tensor:
            return product(vector) + settings.damping * vector

        direction = conjugate_gradient(fisher, gradient, settings.cg_steps)
        curvature = float(direction @ fisher(direction))
        if not math.isfinite(curvature) or curvature <= 0:
            sums.add_step(math.nan)  # skipped, and counted
            return sums.means()
        step = direction * math.sqrt(2 * settings.delta / curvature)
        shrink, kl = self._move(micros, whole, step)
        sums.add_step(norm if math.isfinite(kl) else math.nan)
        return {**sums.means(), "trpo/step": shrink, "trpo/kl": kl}

    def _surrogate(self, micro: MicroBatch, whole: Normalizer, sums: MetricSums) -> Tensor:
        logprobs, entropy = self.policy.logprobs(micro.layout)
        sums.add_sampler_gap(micro, logprobs)
        out = self.loss(micro, Forward(logprobs, entropy, entropy), whole)
        sums.add(out.loss, out.metrics, entropy.detach(), micro)
        return out.loss

    def _fisher_batch(self, batch: Batch) -> tuple[list[MicroBatch], int]:
        """Some of the completions: the curvature is known well enough from fewer (appendix C)."""
        rollout = batch.rollout
        units = self.choose(rollout, list(range(len(rollout.prompts))))
        most = self.settings.fisher_samples
        if len(units) > most:
            units = random.Random(f"{rollout.seed}/fisher").sample(units, most)
        tokens = sum(len(rollout.completions[g][i].token_ids) for [(g, i)] in units)
        return list(batch.micro_batches(units)), max(1, tokens)

    def fisher(self, micros: list[MicroBatch], tokens: int) -> Callable[[Tensor], Tensor]:
        """v → F v: how the gradient of KL(π_old ‖ π_θ), averaged over tokens, changes along v.

        The graph of that gradient is kept for all products.
        """
        parameters = self.policy.parameters
        slopes = []
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels cannot be derived twice
            for micro in micros:
                log_p = self._distributions(micro)
                kl = (log_p.detach().exp() * (log_p.detach() - log_p)).sum() / tokens
                slopes.append(flat(torch.autograd.grad(kl, parameters, create_graph=True)))

        def product(vector: Tensor) -> Tensor:
            along = torch.stack([slope @ vector for slope in slopes]).sum()
            return flat(torch.autograd.grad(along, parameters, retain_graph=True))

        return product

    def _distributions(self, micro: MicroBatch) -> Tensor:
        """log π of every token of the vocabulary at each place: `[K, V]`, float32."""
        from models.head import head_of

        states = self.policy.states(micro.layout)
        logits = head_of(self.policy.model).logits(states)
        return (logits / self.policy.temperature).log_softmax(-1)

    @torch.no_grad()
    def _move(
        self, micros: list[MicroBatch], whole: Normalizer, step: Tensor
    ) -> tuple[float, float]:
        """Take the step, halved until it keeps the limit; returns its share and its KL."""
        parameters = self.policy.parameters
        start = [p.clone() for p in parameters]
        old = [self._distributions(micro) for micro in micros]
        before = self._gain(micros, whole)
        share, kl, limit = 1.0, math.nan, self.settings.delta
        for _ in range(self.settings.backtracks if self.searches else 1):
            add(parameters, start, step * share)
            kl = self._kl(micros, old)
            kept = kl <= limit and self._gain(micros, whole) > before
            if kept or (not self.searches and math.isfinite(kl)):
                return share, kl
            share /= 2
        add(parameters, start, torch.zeros_like(step))
        return 0.0, 0.0 if math.isfinite(kl) else math.nan

    def _gain(self, micros: list[MicroBatch], whole: Normalizer) -> float:
        total = 0.0
        for micro in micros:
            logprobs, entropy = self.policy.logprobs(micro.layout)
            total -= float(self.loss(micro, Forward(logprobs, entropy, entropy), whole).loss)
        return total

    def _kl(self, micros: list[MicroBatch], old: list[Tensor]) -> float:
        """Mean KL(π_old ‖ π_θ) over the tokens of the micro-batches, exact at each place."""
        total = 0.0
        for micro, was in zip(micros, old, strict=True):
            total += float((was.exp() * (was - self._distributions(micro))).sum())
        return total / max(1, sum(len(was) for was in old))


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], target: Tensor, steps: int, *, enough: float = 1e-10
) -> Tensor:
    """x with A x = target, for a symmetric positive A known by its product (Hestenes, Stiefel).

    Ends after `steps`, or where the squared residual is `enough` of the target's.
    """
    x, residual = torch.zeros_like(target), target.clone()
    direction, squared = residual.clone(), residual @ residual
    target_squared = float(squared)
    for _ in range(steps):
        if float(squared) <= enough * target_squared:
            break
        image = product(direction)
        length = squared / (direction @ image)
        x += length * direction
        residual -= length * image
        after = residual @ residual
        direction = residual + (after / squared) * direction
        squared = after
    return x


def flat(tensors) -> Tensor:  # type: ignore[no-untyped-def]
    """Tensors as one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def add(parameters: list[torch.nn.Parameter], start: list[Tensor], step: Tensor) -> None:
    """Set each parameter to its start plus its part of the step."""
    place = 0
    for parameter, value in zip(parameters, start, strict=True):
        size = parameter.numel()
        parameter.copy_(value + step[place : place + size].view_as(parameter))
        place += size
