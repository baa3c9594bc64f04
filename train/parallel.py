"""Training on several ranks: who takes which micro-batch, gradients added up, the base sharded.

Losses divide by the counts of the global batch, so gradients are summed and every loss stays as
it is. With `shard` the frozen base lies in parts on all ranks (FSDP2) and each layer is gathered
for the time it computes; the adapter is whole on every rank.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from common import ranks

T = TypeVar("T")


def own_parts(parts: Sequence[T], *, even: bool) -> Iterator[tuple[T, bool]]:
    """This rank's parts, each with whether it counts.

    A sharded model needs as many passes on every rank: with `even`, one that has fewer repeats a
    part that counts for nothing.
    """
    mine = [(part, True) for part in parts[ranks.rank() :: ranks.size()]]
    if even and len(mine) < math.ceil(len(parts) / ranks.size()):
        mine.append((parts[0], False))
    yield from mine


def add_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Sum the gradients of all ranks, in one flat buffer.

    A parameter without a gradient on every rank stays without one.
    """
    if ranks.size() == 1:
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    has = torch.tensor([float(p.grad is not None) for p in parameters])
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.flatten().float() for g in grads] + [has.to(grads[0].device)])
    dist.all_reduce(flat)
    *summed, has = flat.split([p.numel() for p in parameters] + [len(parameters)])
    for parameter, grad, count in zip(parameters, summed, has.tolist(), strict=True):
        parameter.grad = grad.view_as(parameter).to(parameter.dtype) if count else None


def gather_frozen(kept: dict[Any, Tensor]) -> dict[Any, Tensor]:
    """What each rank computed of its completions, of all completions, in one order."""
    if ranks.size() == 1:
        return kept
    parts = ranks.gather({row: value.detach().cpu() for row, value in kept.items()})
    every = {row: value for part in parts for row, value in part.items()}
    return dict(sorted(every.items()))


def sum_tallies(sums: dict[str, float]) -> dict[str, float]:
    """Sums of all ranks, added in the order of the ranks, so that all have the same."""
    total: dict[str, float] = {}
    for part in ranks.gather(sums):
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total


def take_first(parameters: Iterable[nn.Parameter]) -> None:
    """Let the parameters of all ranks be those of rank 0."""
    if ranks.size() == 1:
        return
    for parameter in parameters:
        dist.broadcast(parameter.data, src=0)


def shard_base(model: Any) -> None:
    """Keep a part of each decoder layer's frozen weights on each rank; LoRA's stay whole."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    kind = next(model.parameters()).device.type
    mesh = init_device_mesh(kind, (ranks.size(),))
    for layer in decoder_layers(model):
        trained = {p for p in layer.parameters() if p.requires_grad}
        fully_shard(layer, mesh=mesh, ignored_params=trained)


@contextlib.contextmanager
def unsharded(model: Any) -> Iterator[None]:
    """Within, every rank has the whole base, and passes need not go in step.

    For the embedded sampler, whose ranks decode different numbers of tokens.
    """
    layers: list[Any] = list(decoder_layers(model))
    for layer in layers:
        layer.set_reshard_after_forward(False)
        layer.unshard()
    try:
        yield
    finally:
        for layer in layers:
            layer.set_reshard_after_forward(True)
            layer.reshard()


def decoder_layers(model: Any) -> Iterable[nn.Module]:
    """The layers of a causal LM, with or without LoRA."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base.get_decoder().layers
