"""The policy: a base model with a LoRA adapter, its log-probs, and the optimiser Muon."""

from train.policy.policy import Policy, add_lora
from train.policy.start import start_lora

__all__ = ["Policy", "add_lora", "start_lora"]
