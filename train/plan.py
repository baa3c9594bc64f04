"""`--dry-run`: what a run would do and need, before anything heavy starts."""

import dataclasses
import math
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoConfig, AutoModelForCausalLM

from common.errors import UserError
from data import load_problems
from models.loading import DTYPES, context_length, load_tokenizer, resolve_dtype
from models.quantize import BYTES, check_quantize
from sampling import pick_backend
from train.activations import layer_bytes
from train.algorithms.grpo import resolved_correction
from train.algorithms.pairs import pairs_that_fit
from train.build import fitting, load_sets, prompt_template, refuse_options, refuse_wrong_start
from train.config import TrainConfig, to_toml
from train.policy import add_lora
from train.policy.logprobs import chunk_elements


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

    Activations are those of one micro-batch: what the layers keep for the backward pass, or with
    gradient checkpointing each layer's input and what one of them keeps. The cache holds keys and
    values of P prompts and their N completions.
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
    dtype = DTYPES[resolve_dtype(config.model.dtype)]
    size = dtype.itemsize
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in adapted.parameters()) - trained
    in_bits = _quantized(adapted) if config.model.quantize else 0
    layers, width = shape.num_hidden_layers, shape.hidden_size
    layer = layer_bytes(shape, config.lora, dtype)
    inputs = layers * width * size
    kept = inputs + layer if config.model.gradient_checkpointing else layers * layer
    tokens = config.optimizer.pass_size()
    heads = getattr(shape, "num_key_value_heads", shape.num_attention_heads)
    head = getattr(shape, "head_dim", None) or width // shape.num_attention_heads
    rollout = config.rollout
    cached = rollout.prompts * (longest_prompt + rollout.completions * config.sampling.max_tokens)
    return Memory(
        weights=int(frozen * size - in_bits * (size - BYTES)),
        adapter=trained * 4,
        optimizer=trained * 4 * 3,  # two moments and the gradient
        activations=int(tokens * (kept + 4 * width * size)),  # and the states before the head
        logits=4 * chunk_elements("cuda" if torch.cuda.is_available() else "cpu") * 4,
        cache=cached * layers * 2 * heads * head * size,
    )


def _quantized(model: Any) -> int:
    """How many weights model.quantize keeps in 4 bits: those of the layers' matrices."""
    layers = model.get_base_model().get_decoder().layers
    named = [(n, p) for layer in layers for n, p in layer.named_parameters()]
    return sum(p.numel() for n, p in named if p.ndim == 2 and "lora_" not in n)


def show_plan(config: TrainConfig) -> None:
    """Print the resolved configuration, the steps, and the estimated memory."""
    refuse_wrong_start(config)
    refuse_options(config)
    sets = load_sets(config)
    if config.eval.data:
        load_problems(config.eval.data, limit=config.eval.limit)
    tokenizer = load_tokenizer(config.model.path)
    prompt = prompt_template(tokenizer, config.prompt)
    context = context_length(AutoConfig.from_pretrained(config.model.path))
    if pairs := getattr(config.algorithm, "pairs", None):
        pairs_that_fit(pairs, prompt, context)
    check_quantize(config.model.quantize)
    resolved_correction(config)  # says why, where it corrects
    kept = fitting(sets, prompt, config, context).problems
    longest = max(len(prompt.encode(p)) for p in kept)
    console = Console()
    console.print(to_toml(config), markup=False, highlight=False)
    rollout, steps = config.rollout, config.run.steps
    updates = steps * config.optimizer.epochs * config.optimizer.minibatches
    console.print(
        f"{len(kept)} problems, prompts of at most {longest} tokens; sampler: "
        f"{pick_backend(config.sampling.backend)}\n"
        f"{steps} steps of {rollout.prompts} × {rollout.completions} completions, "
        f"{updates} optimiser steps, {steps * rollout.prompts / len(kept):.2f} passes over the "
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
