"""What the ladder trains: each algorithm's own settings, and the questions asked of GRPO."""

from typing import Any

# What differs from the settings that all share; GRPO's variants answer questions of their own. Where
# a rollout is used for four optimiser steps, 1e-3 is too fast.
FOUR: dict[str, Any] = {"optimizer.epochs": 2, "optimizer.minibatches": 2, "optimizer.lr": 3e-4}
SECOND_ORDER: dict[str, Any] = {
    "algorithm.damping": 1.0,
    "algorithm.cg_steps": 3,
    "algorithm.fisher_samples": 16,
}
LADDER: dict[str, dict[str, Any]] = {
    "reinforce": {},
    "rloo": {},
    "a2c": {},
    "ppo": {**FOUR, "algorithm.beta": 0.001},
    "ppo_penalty": {**FOUR, "algorithm.beta": 0.001},
    "rlhf": {**FOUR, "algorithm.beta": 0.01},
    "grpo": {**FOUR, "algorithm.beta": 0.001},
    "dpo": {"optimizer.lr": 3e-4},
    "npg": SECOND_ORDER,
    "trpo": SECOND_ORDER,
}
ONE = "grpo, one step a rollout"
QUESTIONS: dict[str, dict[str, Any]] = {
    ONE: {},
    "grpo, process supervision": {"algorithm.supervision": "process"},
    "grpo, std off": {"algorithm.scale": "none"},
    "grpo, sequence means": {"algorithm.loss": "grpo"},
    "grpo, clip off": {**FOUR, "algorithm.beta": 0.001, "algorithm.epsilon": 1e6},
    "grpo, KL off": {**FOUR},
}
BESIDE = dict.fromkeys(QUESTIONS, ONE) | {"grpo, clip off": "grpo", "grpo, KL off": "grpo"}
