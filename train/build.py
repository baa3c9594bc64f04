"""What a run is made of, built from its configuration before the first step."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from common import ranks
from common.errors import UserError
from data import Mixture, Problem, PromptTemplate
from data.mixture import source_names
from eval.overlap import find_overlaps
from eval.shared import SharedSampler
from eval.sweep import adapter_rank
from models.fit import refuse_unfit
from models.loading import context_length, load_adapter
from models.packed import compile_layers
from sampling import Sampler, load_sampler, pick_backend
from sampling.load import refuse_unknown
from sampling.process import SamplerProcess
from train.algorithms.base import Algorithm
from train.config import TrainConfig
from train.config.sections import Prompt
from train.parallel import shard_base, unsharded
from train.policy import Policy, add_lora, start_lora
from train.policy.logprobs import Truncation


def prompt_template(tokenizer: Any, settings: Prompt) -> PromptTemplate:
    """How questions are asked, as configured."""
    return PromptTemplate(
        tokenizer,
        settings.template,
        system=settings.system,
        shots=settings.shots,
        chat_template_kwargs=settings.chat_template_kwargs,
    )


def refuse_wrong_start(config: TrainConfig) -> None:
    """Raise UserError where `model.adapter` is no LoRA for this base; loads neither."""
    if config.model.adapter:
        refuse_unfit(config.model.adapter, config.model.path)


def refuse_options(config: TrainConfig) -> None:
    """Raise UserError for sampling.options that the backend does not have, before it starts."""
    sampling, apart = config.sampling, bool(config.rollout.ahead)
    refuse_unknown(sampling.backend, sampling.options, "sampling.options", apart=apart)


def load_sets(config: TrainConfig) -> dict[str, list[Problem]]:
    """The training problems of each source, by its name."""
    sources = config.data.sources()
    return {
        name: source.load() for name, source in zip(source_names(sources), sources, strict=True)
    }


def fitting(
    sets: dict[str, list[Problem]], prompt: PromptTemplate, config: TrainConfig, context: int
) -> Mixture:
    """The problems whose prompt leaves room for a completion; says how many do not."""
    longest = context - config.sampling.max_tokens
    longest = min(longest, config.data.max_prompt_tokens or longest)
    kept = []
    for name, problems in sets.items():
        kept.append([p for p in problems if len(prompt.encode(p)) <= longest])
        if not kept[-1]:
            raise UserError(
                f"{name}: no prompt leaves room for sampling.max_tokens = "
                f"{config.sampling.max_tokens} in the context of {context} tokens"
            )
        if skipped := len(problems) - len(kept[-1]):
            print(
                f"{name}: {skipped} of {len(problems)} problems are skipped: their prompts are "
                f"longer than {longest} tokens",
                file=sys.stderr,
            )
    weights = [source.weight for source in config.data.sources()]
    return Mixture(kept, weights, seed=config.run.seed)


def check_lora(base: Any, config: TrainConfig) -> None:
    """Raises UserError where `base` has no layers for the adapter, before a run folder is made."""
    with torch.device("meta"):
        add_lora(AutoModelForCausalLM.from_config(base.config), config.lora, config.run.seed)


def open_policy(base: Any, checkpoint: Path | None, config: TrainConfig) -> Policy:
    """The policy with the adapter to start from on `base`, or with that of a checkpoint."""
    if checkpoint is None:
        model = start_lora(base, config.model, config.lora, config.run.seed)
    else:
        model = load_adapter(base, checkpoint, config.model.path, train=True)
    if config.model.gradient_checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.model.compile:
        compile_layers(base)
    if is_sharded(config):
        shard_base(model)
    sampling = config.sampling
    policy = Policy(
        model.eval(),
        sampling.temperature,
        autocast=config.model.autocast,
        truncation=Truncation(sampling.top_k, sampling.top_p, sampling.min_p)
        if sampling.truncates
        else None,
        float32_head=config.model.float32_head,
    )
    if checkpoint is None and config.model.adapter and config.model.reference == "start":
        policy.move_reference()
    return policy


def open_optimizer(algorithm: Algorithm, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW over all that the algorithm trains."""
    settings = config.optimizer
    return torch.optim.AdamW(
        algorithm.parameter_groups(),
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )


def open_sampler(
    policy: Policy, tokenizer: Any, config: TrainConfig, log: Path, room: Callable[[], int]
) -> Sampler:
    """The sampler with the policy's adapter; each rank its own, but servers are asked by rank 0.

    `room` tells how many tokens a prompt and its completion may take; asked for an engine's sake.
    """
    backend = pick_backend(config.sampling.backend)
    alone = backend == "vllm-server" and not ranks.is_first()
    sampler = None if alone else _open_own_sampler(backend, policy, tokenizer, config, log, room)
    if ranks.size() == 1 and sampler is not None:
        return sampler
    if backend == "torch" and not config.rollout.ahead and is_sharded(config):
        return SharedSampler(sampler, tokenizer, lambda: unsharded(policy.model))
    return SharedSampler(sampler, tokenizer)


def _open_own_sampler(
    backend: str,
    policy: Policy,
    tokenizer: Any,
    config: TrainConfig,
    log: Path,
    room: Callable[[], int],
) -> Sampler:
    """The embedded one shares the policy's module; a step ahead it has a process of its own."""
    options = dict(config.sampling.options)
    if backend == "torch":
        options.setdefault("float32_head", config.model.float32_head)
        options.setdefault("quantize", config.model.quantize)
    if backend == "torch" and not config.rollout.ahead:
        return load_sampler("torch", policy.model, tokenizer=tokenizer, **options)
    options.setdefault("dtype", config.model.dtype)
    if backend == "torch":
        sampler: Sampler = SamplerProcess(config.model.path, **options)
    else:
        rank = adapter_rank(policy.model.peft_config["default"].to_dict())
        defaults = {"max_lora_rank": rank, "log": log, **_engine_defaults(backend, config)}
        options = {**defaults, **options}
        if not options.get("servers"):
            options.setdefault("max_model_len", room())
        sampler = load_sampler(backend, config.model.path, **options)
    sampler.update_adapter(policy)
    return sampler


def _engine_defaults(backend: str, config: TrainConfig) -> dict[str, Any]:
    """What vLLM is started with beside a trainer, unless sampling.options say otherwise."""
    found: dict[str, Any] = {}
    options = config.sampling.options
    if not torch.cuda.is_available() or options.get("servers"):
        return found
    if ranks.size() > 1 and backend == "vllm":
        found["devices"] = [ranks.local_rank()]  # the card that this rank trains on
    if not options.get("devices"):  # one card for both: half of it, or all while the trainer waits
        found["gpu_memory_utilization"] = 0.8 if config.sampling.sleep else 0.45
    if config.model.quantize:
        found["quantization"] = "bitsandbytes"  # the same 4 bits
    if backend == "vllm":
        found["enable_sleep_mode"] = config.sampling.sleep
    return found


def longest_call(
    problems: Sequence[Problem],
    held_out: Sequence[Problem],
    prompt: PromptTemplate,
    config: TrainConfig,
) -> int:
    """Tokens that the longest prompt and its completion may take, within the model's context."""
    asked = config.sampling.max_tokens
    sets = ((problems, asked), (held_out, config.eval.max_tokens or asked))
    needed = [len(prompt.encode(p)) + tokens for some, tokens in sets for p in some]
    return min(max(needed), context_length(AutoConfig.from_pretrained(config.model.path)))


def is_sharded(config: TrainConfig) -> bool:
    """Whether the base lies in parts on several ranks."""
    return config.parallel.shard and ranks.size() > 1


def refuse_ranks(config: TrainConfig, algorithm: type[Algorithm]) -> None:
    """Raise UserError where torchrun started several processes that cannot share the work, or
    whose configurations differ."""
    if ranks.size() > 1 and not algorithm.in_parallel:
        raise UserError(
            f"algorithm.name = '{config.algorithm.name}' runs in one process, but torchrun started "
            f"{ranks.size()}; start it with: python -m train"
        )
    ranks.agreed("the configuration", config.model_dump_json())


def overlap_warnings(training: dict[str, list[Problem]], held_out: list[Problem]) -> list[str]:
    """What to say of each source that nearly holds some of the held-out problems."""
    warnings = []
    for name, problems in training.items():
        if found := find_overlaps(problems, held_out, threshold=0.95):
            warnings.append(
                f"{len(found)} of {len(held_out)} held-out problems are nearly in {name}, such as "
                f"{found[0].problem.id}; see: python -m eval overlap TRAIN EVAL"
            )
    return warnings
