"""Trust Region Policy Optimization (Schulman et al., arXiv 1502.05477) on the LoRA parameters.

    maximise  E[ ρ A ]    subject to    KL(π_old ‖ π_θ) ≤ δ                          (eq. 14)

The step is s = √(2δ / xᵀFx) · x with F x = g, solved by conjugate gradients from Fisher-vector
products (the Hessian of the KL at π_old, by differentiating twice), then halved until the measured
KL is at most δ and the surrogate has risen. `npg` takes the step as it is: natural policy gradient
(Kakade, 2001). Advantages are GRPO's. One step a rollout; the optimiser is not used.
"""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from sampling.packed import output_weight
from train.algorithms.base import Algorithm, Forward, token_sums
from train.losses import LossOutput, Normalizer
from train.metrics import Metrics
from train.packing import Minibatch, Piece
from train.rollout import Rollout
from train.tally import Tally


class Trpo(Algorithm):
    """Natural gradient under a KL limit, with line search."""

    reads = frozenset(("scale", "baseline"))
    searches = True

    def loss(self, piece: Piece, forward: Forward, whole: Normalizer) -> LossOutput:
        """−E[ρ A] over the tokens of the minibatch."""
        assert piece.old_logprobs is not None
        ratio = ((forward.logprobs - piece.old_logprobs) * piece.mask).exp()
        gain = (ratio * piece.advantages[:, None] * piece.mask).sum() / whole.tokens
        none = torch.zeros_like(ratio)
        return LossOutput(-gain, token_sums(ratio, none.bool(), none, piece.mask))

    def learn(self, optimizer: torch.optim.Optimizer, rollout: Rollout, *, seed: int) -> Metrics:
        [batch] = self.batches(rollout, seed)
        tally = Tally()
        if not batch.pieces:
            return tally.means()
        settings = self.config.trpo
        parameters = self.policy.parameters
        for piece in batch.pieces:
            self.freeze_old(piece)
            out = self._surrogate(piece, batch.whole, tally)
            out.backward()
        gradient = -flat([p.grad for p in parameters])
        optimizer.zero_grad(set_to_none=True)
        tally.step(float(gradient.norm()))
        if not math.isfinite(float(gradient.norm())) or not gradient.any():
            return tally.means()

        product = self.fisher(self._fisher_batch(rollout, seed))

        def fisher(vector: Tensor) -> Tensor:
            return product(vector) + settings.damping * vector

        direction = conjugate_gradient(fisher, gradient, settings.cg_steps)
        curvature = float(direction @ fisher(direction))
        step = direction * math.sqrt(2 * settings.delta / max(curvature, 1e-12))
        shrink, kl = self._move(batch, step)
        return {**tally.means(), "trpo/step": shrink, "trpo/kl": kl}

    def _surrogate(self, piece: Piece, whole: Normalizer, tally: Tally) -> Tensor:
        logprobs, entropy = self.policy.logprobs(piece.layout)
        tally.sampler_gap(piece, logprobs)
        out = self.loss(piece, Forward(logprobs, entropy, entropy), whole)
        tally.add(out.loss, out.metrics, entropy.detach(), piece.mask)
        return out.loss

    def _fisher_batch(self, rollout: Rollout, seed: int) -> Minibatch:
        """Some of the completions: the curvature is known well enough from fewer (appendix C)."""
        units = self.choose(rollout, list(range(len(rollout.prompts))), seed)
        most = self.config.trpo.fisher_samples
        drawn = units if len(units) <= most else random.Random(f"{seed}/fisher").sample(units, most)
        tokens = sum(len(rollout.completions[g][i].token_ids) for [(g, i)] in drawn)
        return Minibatch(self.pieces(rollout, drawn), Normalizer(len(drawn), max(1, tokens)))

    def fisher(self, batch: Minibatch) -> Callable[[Tensor], Tensor]:
        """v → F v: how the gradient of KL(π_old ‖ π_θ), averaged over tokens, changes along v.

        The graph of that gradient is kept for all products.
        """
        parameters = self.policy.parameters
        slopes = []
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels cannot be derived twice
            for piece in batch.pieces:
                log_p = self._distributions(piece)
                kl = (log_p.detach().exp() * (log_p.detach() - log_p)).sum() / batch.whole.tokens
                slopes.append(flat(torch.autograd.grad(kl, parameters, create_graph=True)))

        def product(vector: Tensor) -> Tensor:
            along = torch.stack([slope @ vector for slope in slopes]).sum()
            return flat(torch.autograd.grad(along, parameters, retain_graph=True))

        return product

    def _distributions(self, piece: Piece) -> Tensor:
        """log π of every token of the vocabulary at each place: `[K, V]`, float32."""
        states = self.policy.states(piece.layout)
        logits = (states @ output_weight(self.policy.model).T).float()
        return (logits / self.policy.temperature).log_softmax(-1)

    @torch.no_grad()
    def _move(self, batch: Minibatch, step: Tensor) -> tuple[float, float]:
        """Take the step, halved until it keeps the limit; returns its share and its KL."""
        parameters = self.policy.parameters
        start = [p.clone() for p in parameters]
        old = [self._distributions(piece) for piece in batch.pieces]
        before = self._gain(batch)
        share, settings = 1.0, self.config.trpo
        for _ in range(settings.backtracks):
            add(parameters, start, step * share)
            kl = self._kl(batch, old)
            if not self.searches or (kl <= settings.delta and self._gain(batch) > before):
                return share, kl
            share /= 2
        add(parameters, start, step * 0)
        return 0.0, 0.0

    def _gain(self, batch: Minibatch) -> float:
        total = 0.0
        for piece in batch.pieces:
            logprobs, entropy = self.policy.logprobs(piece.layout)
            total -= float(self.loss(piece, Forward(logprobs, entropy, entropy), batch.whole).loss)
        return total

    def _kl(self, batch: Minibatch, old: list[Tensor]) -> float:
        """Mean KL(π_old ‖ π_θ) over the tokens of the minibatch, exact at each place."""
        total = 0.0
        for piece, was in zip(batch.pieces, old, strict=True):
            total += float((was.exp() * (was - self._distributions(piece))).sum())
        return total / batch.whole.tokens


class Npg(Trpo):
    """The natural gradient step without line search."""

    searches = False


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], target: Tensor, steps: int, *, enough: float = 1e-10
) -> Tensor:
    """x with A x = target, for a symmetric positive A known by its product (Hestenes, Stiefel)."""
    x, residual = torch.zeros_like(target), target.clone()
    direction, squared = residual.clone(), residual @ residual
    for _ in range(steps):
        if float(squared) < enough:
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
