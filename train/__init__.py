"""The trainer: policy, advantages, losses, the GRPO loop, SFT warm start, checkpoints."""
