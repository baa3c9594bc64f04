"""Keys of the first edition, each with the place where its setting is now."""

ROLLOUT = ("prompts", "completions", "dynamic_sampling", "max_draws", "curriculum")
ALGORITHM = (
    "loss scale baseline epsilon epsilon_high dual_clip entropy_bonus beta kl reference_every "
    "correction correction_cap supervision mask_truncated"
).split()

RENAMED = {
    **{f"grpo.{key}": f"rollout.{key}" for key in ROLLOUT},
    **{f"grpo.{key}": f"algorithm.{key}" for key in ALGORITHM},
    "grpo.epochs": "optimizer.epochs",
    "grpo.minibatches": "optimizer.minibatches",
    "grpo.strict": "reward.strict",
    "grpo.overlong_free": "reward.overlong_free",
    "data.template": "prompt.template",
    "data.pairs": "algorithm.pairs",
    "rlhf.lr": "algorithm.reward_lr",
    "critic.kl_weight": "algorithm.kl_weight",
    "critic.kl_target": "algorithm.kl_target",
}
SECTIONS = {
    "grpo": "rollout, algorithm, optimizer and reward",
    "sampler": "sampling",
    "reinforce": "algorithm",
    "critic": "algorithm.critic",
    "rlhf": "algorithm",
    "trpo": "algorithm",
    "dpo": "algorithm",
}


def new_place(section: str, key: str) -> str | None:
    """Where the first edition's `section.key` is now; None for a key it did not have."""
    found = RENAMED.get(f"{section}.{key}")
    if found is None and section in SECTIONS and section != "grpo":
        return f"{SECTIONS[section]}.{key}"
    return found
