"""What a run opens before its first step: the problems that fit, and the policy."""

import sys
from pathlib import Path
from typing import Any

from common.errors import UserError
from data import Problem, PromptTemplate, load_problems
from eval.overlap import find_overlaps
from sampling.model import load_adapter
from sampling.packed import compile_layers
from train.config import TrainConfig
from train.policy import Policy, add_lora


def fitting(
    problems: list[Problem], template: PromptTemplate, config: TrainConfig, context: int
) -> list[Problem]:
    """The problems whose prompt leaves room for a completion; says how many do not."""
    longest = context - config.sampler.max_tokens
    longest = min(longest, config.data.max_prompt_tokens or longest)
    kept = [p for p in problems if len(template.encode(p.question)) <= longest]
    if not kept:
        raise UserError(
            f"{config.data.train}: no prompt leaves room for sampler.max_tokens = "
            f"{config.sampler.max_tokens} in the context of {context} tokens"
        )
    if left_out := len(problems) - len(kept):
        print(
            f"{left_out} of {len(problems)} problems are left out: their prompts are longer "
            f"than {longest} tokens",
            file=sys.stderr,
        )
    return kept


def open_policy(base: Any, checkpoint: Path | None, config: TrainConfig) -> Policy:
    """The policy with a fresh adapter on `base`, or with that of a checkpoint."""
    if checkpoint is None:
        model = add_lora(base, config.lora, config.run.seed)
    else:
        model = load_adapter(base, checkpoint, config.model.path, train=True)
    if config.model.gradient_checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.model.compile:
        compile_layers(base)
    return Policy(model.eval(), config.sampler.temperature, autocast=config.model.autocast)


def overlap_warning(config: TrainConfig, training: list[Problem]) -> str | None:
    """What to say where held-out problems are nearly in the training file; None if none are."""
    if config.eval.data is None:
        return None
    held_out = load_problems(config.eval.data, limit=config.eval.limit)
    found = find_overlaps(training, held_out, threshold=0.95)
    if not found:
        return None
    return (
        f"{len(found)} of {len(held_out)} held-out problems are nearly in {config.data.train}, "
        f"such as {found[0].problem.id}; see: python -m eval overlap TRAIN EVAL"
    )
