"""The critic: what return is to be expected from each token on, and advantages made of it.

Generalised advantage estimation (Schulman et al., arXiv 1506.02438, eq. 16), by backward recursion:

    δ_t = r_t + γ V_{t+1} − V_t,    A_t = δ_t + γ λ A_{t+1}

λ = 0 leaves the TD error, λ = 1 the Monte Carlo return minus the value.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sampling.model import load_model
from sampling.packed import PackedGroups
from train.config import TrainConfig
from train.packing import Piece
from train.policy import Policy, add_lora


def gae(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    gamma: float,
    lam: float,
) -> Float[Tensor, "B T"]:
    """Advantages of the tokens inside the mask; after a completion's last token nothing follows."""
    advantages = torch.zeros_like(values)
    following, value = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * value - values[:, t]
        following = torch.where(mask[:, t], delta + gamma * lam * following, 0.0)
        value = torch.where(mask[:, t], values[:, t], 0.0)
        advantages[:, t] = following
    return advantages


def token_rewards(
    piece: Piece, rewards: Float[Tensor, "B"], penalty: float
) -> Float[Tensor, "B T"]:
    """A completion's reward at its last token, minus `penalty` × log(π_old / π_ref) at each.

    The form of RLHF: Ouyang et al., arXiv 2203.02155, eq. 2. Needs frozen log-probs if there is a
    penalty.
    """
    last = piece.mask.sum(1) - 1
    out = torch.zeros(piece.mask.shape, device=piece.mask.device)
    out[torch.arange(len(rewards)), last] = rewards.to(out.device)
    if penalty and piece.old_logprobs is not None and piece.ref_logprobs is not None:
        out = out - penalty * (piece.old_logprobs - piece.ref_logprobs) * piece.mask
    return out


def value_loss(
    values: Float[Tensor, "B T"],
    old_values: Float[Tensor, "B T"],
    returns: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    clip: float | None,
) -> Float[Tensor, ""]:
    """Sum over tokens of ½ max((V − R)², (V_clip − R)²), V_clip within ±`clip` of the old value.

    Source: the clipped value loss of OpenAI's PPO (Engstrom et al., arXiv 2005.12729, eq. 2).
    """
    loss = (values - returns).square()
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        loss = torch.maximum(loss, (near - returns).square())
    return 0.5 * (loss * mask).sum()


class Critic(nn.Module):
    """A value for each token: a linear head on the policy's trunk, or on a network of its own."""

    kind: str | None = None  # as configured

    def __init__(self, config: TrainConfig, policy: Policy):
        super().__init__()
        self.config, self.policy = config, policy
        self.own: Policy | None = None
        if (self.kind or config.critic.kind) == "separate":
            base = load_model(config.model.path, dtype=config.model.dtype)
            model = add_lora(base, config.lora, config.run.seed + 1).eval()
            self.own = Policy(model, 1.0, autocast=config.model.autocast)
        trunk: Any = (self.own or policy).model
        width = trunk.get_base_model().config.hidden_size
        self.head = nn.Linear(width, 1, device=policy.device, dtype=torch.float32)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, 0.5)  # the middle of 0 and 1

    def values(self, layout: PackedGroups, states: Tensor | None = None) -> Float[Tensor, "B T"]:
        """The value of what stands before each token; `states` are the policy's, of the trunk."""
        if self.own is not None:
            states = self.own.states(layout)
        elif states is None:
            states = self.policy.states(layout)
        if self.own is None and not self.config.critic.through:
            states = states.detach()
        flat = self.head(states.float())[:, 0]
        return torch.zeros(layout.mask.shape, device=flat.device).masked_scatter(layout.mask, flat)

    def trained(self) -> list[nn.Parameter]:
        """The head, and the adapter of a network of its own."""
        return [*self.head.parameters(), *(self.own.parameters if self.own else [])]

    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint must remember of it."""
        trained = {id(p) for p in self.trained()}
        own = self.own.model.named_parameters() if self.own else ()
        named = [*self.head.named_parameters(), *own]
        return {name: p.detach() for name, p in named if id(p) in trained}

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Take the weights of a checkpoint."""
        own = dict(self.own.model.named_parameters()) if self.own else {}
        for name, parameter in {**dict(self.head.named_parameters()), **own}.items():
            if name in weights:
                parameter.data.copy_(weights[name])
