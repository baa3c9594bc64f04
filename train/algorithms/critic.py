"""The critic: what return is to be expected from each token on, and advantages made of it.

Generalised advantage estimation (Schulman et al., arXiv 1506.02438, eq. 16), by backward recursion:

    δ_t = r_t + γ V_{t+1} − V_t,    A_t = δ_t + γ λ A_{t+1}

λ = 0 leaves the TD error, λ = 1 the Monte Carlo return minus the value. A completion's last token
is terminal (V = 0 after it), also where the completion was cut off: its reward is all it gets.
"""

from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from common.shapes import B_T, SCALAR, B
from train.batch import MicroBatch
from train.config.sections import Section

if TYPE_CHECKING:
    from models.packed import PackedGroups
    from train.config.schema import TrainConfig
    from train.policy import Policy


class CriticSettings(Section):
    kind: Literal["trunk", "separate"] = Field(
        "trunk", description="a head on the policy's trunk, or a network of its own with LoRA"
    )
    through: bool = Field(False, description="let the value loss move the trunk as well")
    gamma: float = Field(1.0, ge=0.0, le=1.0, description="discount a token")
    lam: float = Field(0.95, ge=0.0, le=1.0, description="of GAE: 0 the TD error, 1 Monte Carlo")
    weight: float = Field(0.5, gt=0.0, description="of the value loss")
    clip: float | None = Field(0.2, gt=0.0, description="bound on a value's move; none: unclipped")
    whiten: bool = Field(True, description="advantages to mean 0 and deviation 1 over the batch")
    lr: float = Field(1e-3, gt=0.0, description="learning rate of the critic")

    @model_validator(mode="after")
    def _through_a_trunk(self) -> "CriticSettings":
        if self.through and self.kind == "separate":
            raise ValueError('through has no meaning with kind = "separate": it has its own trunk')
        return self


def gae(
    rewards: Float[Tensor, B_T],
    values: Float[Tensor, B_T],
    mask: Bool[Tensor, B_T],
    *,
    gamma: float,
    lam: float,
) -> Float[Tensor, B_T]:
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
    micro: MicroBatch, rewards: Float[Tensor, B], penalty: float
) -> Float[Tensor, B_T]:
    """A completion's reward at its last token, minus `penalty` × log(π_old / π_ref) at each.

    The form of RLHF: Ouyang et al., arXiv 2203.02155, eq. 2. Needs frozen log-probs if there is a
    penalty.
    """
    last = micro.mask.sum(1) - 1
    out = torch.zeros(micro.mask.shape, device=micro.mask.device)
    out[torch.arange(len(rewards)), last] = rewards.to(out)
    if penalty and micro.old_logprobs is not None and micro.ref_logprobs is not None:
        out = out - penalty * (micro.old_logprobs - micro.ref_logprobs) * micro.mask
    return out


def value_loss(
    values: Float[Tensor, B_T],
    old_values: Float[Tensor, B_T],
    returns: Float[Tensor, B_T],
    mask: Bool[Tensor, B_T],
    clip: float | None,
) -> Float[Tensor, SCALAR]:
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

    def __init__(self, config: "TrainConfig", policy: "Policy", settings: CriticSettings):
        super().__init__()
        self.settings, self.policy = settings, policy
        self.own = own_network(config) if settings.kind == "separate" else None
        trunk: Any = (self.own or policy).model
        width = trunk.get_base_model().config.hidden_size
        self.head = nn.Linear(width, 1, device=policy.device, dtype=torch.float32)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, 0.5)  # the middle of 0 and 1

    def values(self, layout: "PackedGroups", states: Tensor | None = None) -> Float[Tensor, B_T]:
        """The value of what stands before each token; `states` are the policy's, of the trunk."""
        if self.own is not None:
            states = self.own.states(layout)
        elif states is None:
            states = self.policy.states(layout)
        if self.own is None and not self.settings.through:
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


def own_network(config: "TrainConfig") -> "Policy":
    """The start of the run once more, with a LoRA adapter of its own."""
    from models.loading import load_model  # heavy: only where a network is opened
    from train.policy import Policy, start_lora

    base = load_model(config.model.path, dtype=config.model.dtype, quantize=config.model.quantize)
    model = start_lora(base, config.model, config.lora, config.run.seed + 1).eval()
    return Policy(model, 1.0, autocast=config.model.autocast)
