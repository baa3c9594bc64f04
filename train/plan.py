"""`--dry-run`: what a run would do and need, before anything heavy starts."""

import dataclasses
import math

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoConfig, AutoModelForCausalLM

from common.errors import UserError
from data import PromptTemplate, load_problems
from sampling import pick_backend
from sampling.model import DTYPES, context_length, load_tokenizer
from train.config import TrainConfig, to_toml
from train.logprobs import CHUNK_ELEMENTS
from train.opening import fitting
from train.policy import add_lora
from train.sections import Model

BUFFERS = 14  # tensors of the width of the model that a layer keeps for the backward pass, roughly


@dataclasses.dataclass(frozen=True)
class Memory:
    """Estimated bytes of a run's larger parts."""

    weights: int
    adapter: int
    optimizer: int
    activations: int
    logits: int
    cache: int

    @property
    def total(self) -> int:
        return sum(dataclasses.astuple(self))


def estimate(config: TrainConfig, longest_prompt: int) -> Memory:
    """The memory of a run, from the shapes of its model alone; raises UserError without one.

    Activations are counted for one pass: about BUFFERS tensors of the model's
    width a layer, one with gradient checkpointing. The cache holds keys and values of P prompts
    and their N completions.
    """
    try:
        shape = AutoConfig.from_pretrained(config.model.path)
        with torch.device("meta"):
            base = AutoModelForCausalLM.from_config(shape)
            adapted = add_lora(base, config.lora, 0)
    except UserError:
        raise
    except Exception as error:  # transformers raises many kinds
        raise UserError(f"{config.model.path}: no model configuration can be read") from error
    size = _bytes(config.model)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in adapted.parameters()) - trained
    layers, width = shape.num_hidden_layers, shape.hidden_size
    kept = 1 if config.model.gradient_checkpointing else BUFFERS
    tokens = config.optimizer.pass_size()
    heads = getattr(shape, "num_key_value_heads", shape.num_attention_heads)
    head = getattr(shape, "head_dim", None) or width // shape.num_attention_heads
    grpo = config.grpo
    cached = grpo.prompts * (longest_prompt + grpo.completions * config.sampler.max_tokens)
    return Memory(
        weights=frozen * size,
        adapter=trained * 4,
        optimizer=trained * 4 * 3,  # two moments and the gradient
        activations=tokens * layers * width * kept * size + tokens * width * BUFFERS * size,
        logits=4 * CHUNK_ELEMENTS * 4,
        cache=cached * layers * 2 * heads * head * size,
    )


def _bytes(model: Model) -> int:
    if model.dtype == "auto":
        return 2 if torch.cuda.is_available() else 4
    return DTYPES[model.dtype].itemsize


def show_plan(config: TrainConfig) -> None:
    """Print the resolved configuration, the steps, and the estimated memory."""
    problems = load_problems(config.data.train, limit=config.data.limit)
    tokenizer = load_tokenizer(config.model.path)
    template = PromptTemplate(tokenizer, config.data.template)
    context = context_length(AutoConfig.from_pretrained(config.model.path))
    kept = fitting(problems, template, config, context)
    longest = max(len(template.encode(p.question)) for p in kept)
    console = Console()
    console.print(to_toml(config), markup=False, highlight=False)
    grpo, steps = config.grpo, config.run.steps
    updates = steps * grpo.epochs * grpo.minibatches
    console.print(
        f"{len(kept)} problems, prompts of at most {longest} tokens; sampler: "
        f"{pick_backend(config.sampler.backend)}\n"
        f"{steps} steps of {grpo.prompts} × {grpo.completions} completions, "
        f"{updates} optimiser steps, {steps * grpo.prompts / len(kept):.2f} passes over the "
        f"problems\ncheckpoints every {config.run.save_every} steps: "
        f"{math.ceil(steps / config.run.save_every)} in all",
        highlight=False,
    )
    memory = estimate(config, longest)
    table = Table("estimated memory", "GiB")
    for name, size in dataclasses.asdict(memory).items():
        table.add_row(name, f"{size / 2**30:.3f}")
    table.add_row("total", f"{memory.total / 2**30:.3f}", style="bold")
    console.print(table)
