"""Supervised fine-tuning on worked solutions, what `python -m train.sft` does.

Trains a tiny model from scratch, all weights of a model, or LoRA weights on one. The loss is the
mean negative log-prob of the solutions' tokens; the prompts teach nothing.

All weights are kept in float32 while they are trained, as steps of 1e-5 are lost in bfloat16's
eight bits; with a half-precision `model.dtype` the layers compute in bfloat16 (autocast), and the
model is written in the dtype asked for.
"""

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from common.files import Contents, check_replaceable, whole_folder, write_text
from common.progress import progress_bar
from data import Problem, PromptTemplate, synthesize
from models.fit import refuse_unfit
from models.head import head_of
from models.loading import DTYPES, context_length, load_model, load_tokenizer, write_base_note
from models.packed import PackedGroups, output_weight
from models.plain import states_of
from models.tiny import save_base, tiny_model, tiny_tokenizer
from train.build import prompt_template
from train.config import SftConfig, to_toml
from train.config.sections import SftOptimizer
from train.guard import polite_stop
from train.policy import start_lora
from train.policy.logprobs import token_logprobs
from train.policy.muon import Muon
from train.records.card import adapter_card
from train.records.unfinished import Unfinished, state_file
from train.schedule import learning_rate

CONTENTS = Contents(
    command="supervised fine-tuning",
    marks=("sft.toml", "metrics.jsonl"),
    others=(
        *("config.json", "generation_config.json", "model*.safetensors*"),
        *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt"),
        *("chat_template*", "adapter_*", "base.json", "README.md"),
    ),
)

Example = tuple[list[int], list[int]]  # prompt and target token ids


def run_sft(config: SftConfig) -> Path:
    """Train as configured and write the model or adapter folder; returns it.

    Killed and called again with the same settings and data, it goes on and ends in the same bytes.
    Raises UserError where SIGTERM or Ctrl-C stop it; what was learnt is then kept.
    """
    check_replaceable(config.run.out, CONTENTS)
    state_file(config.run.out)
    model, tokenizer, dtype = _open_model(config)
    examples = _examples(config, model, tokenizer)
    weights = [p for p in model.parameters() if p.requires_grad]
    settings, steps = config.optimizer, config.run.steps
    optimizers = _optimizers(model, settings)
    torch.manual_seed(config.run.seed)
    unfinished = Unfinished(config, examples, weights, [optimizer for optimizer, _ in optimizers])
    log = unfinished.load()
    batches = itertools.islice(
        batches_of(examples, config.data.batch, config.run.seed), len(log), None
    )
    model.train()
    with progress_bar() as progress, polite_stop() as stop:
        task = progress.add_task("fine-tuning", total=steps, completed=len(log), note="")
        while len(log) < steps and not stop.wanted:
            share = learning_rate(
                len(log),
                steps,
                peak=1.0,
                schedule=settings.schedule,
                warmup_steps=settings.warmup_steps,
            )
            loss = _backward(
                model, next(batches), settings.pass_size(), autocast=dtype != torch.float32
            )
            norm = torch.nn.utils.clip_grad_norm_(weights, settings.max_grad_norm)
            for optimizer, peak in optimizers:
                optimizer.param_groups[0]["lr"] = peak * share
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            rate = settings.lr * share
            log.append({"step": len(log) + 1, "loss": loss, "grad_norm": float(norm), "lr": rate})
            progress.update(task, completed=len(log), note=f"loss {loss:.3f}")
            if len(log) < steps and (stop.wanted or len(log) % config.run.save_every == 0):
                unfinished.save(log)
    if len(log) < steps:
        raise UserError(f"stopped after step {len(log)}; the same command goes on from there")
    folder = _save(config, model.eval(), tokenizer, log, dtype)
    unfinished.remove()
    return folder


def _optimizers(model: Any, settings: SftOptimizer) -> list[tuple[torch.optim.Optimizer, float]]:
    """The optimisers with their peak rates: Muon for the layers' matrices, AdamW for the rest."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in trained if p.ndim == 2 and "embed" not in name]
    if settings.matrix_lr is None:
        matrices = []
    taken = {id(p) for p in matrices}
    adamw = torch.optim.AdamW(
        [p for _, p in trained if id(p) not in taken],
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [(adamw, settings.lr)]
    if settings.matrix_lr is not None:
        muon = Muon(matrices, settings.matrix_lr, weight_decay=settings.weight_decay)
        optimizers.append((muon, settings.matrix_lr))
    return optimizers


def batches_of(examples: list[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """Endless batches: each epoch goes once over all examples in a new seeded order."""
    epoch, waiting = 0, list[Example]()
    while True:
        while len(waiting) < size:
            order = list(examples)
            random.Random(f"{seed}/{epoch}").shuffle(order)
            waiting += order
            epoch += 1
        yield waiting[:size]
        waiting = waiting[size:]


def _backward(
    model: Any, batch: list[Example], tokens_per_pass: int, *, autocast: bool = False
) -> float:
    """Add the gradient of the batch's mean token loss, a few sequences at a time."""
    total = sum(len(target) for _, target in batch)
    device = output_weight(model).device
    loss_sum, part, room = 0.0, list[Example](), 0
    for example in [*batch, None]:
        cost = len(example[0]) + len(example[1]) if example else 0
        if part and (example is None or room + cost > tokens_per_pass):
            layout = PackedGroups([p for p, _ in part], [[t] for _, t in part], device)
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                hidden = states_of(model, layout)
            hidden = hidden.to(output_weight(model).dtype)
            at, targets = layout.predictors[layout.mask], layout.targets[layout.mask]
            logprobs, _ = token_logprobs(hidden[at], head_of(model), targets)
            loss = -logprobs.sum() / total
            loss.backward()
            loss_sum += loss.item()
            part, room = [], 0
        if example:
            part.append(example)
            room += cost
    return loss_sum


def _open_model(config: SftConfig) -> tuple[Any, Any, torch.dtype]:
    """The model, its tokenizer, and the dtype to compute and to be written in."""
    settings = config.model
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.path is None:
        tokenizer = tiny_tokenizer(tiny_texts())
        model: Any = tiny_model(tokenizer, seed=config.run.seed)
        return model.to(device), tokenizer, DTYPES.get(settings.dtype, torch.float32)
    if settings.adapter:
        refuse_unfit(settings.adapter, settings.path)
    tokenizer = load_tokenizer(settings.path)
    if config.lora is not None:
        base = load_model(settings.path, dtype=settings.dtype)
        model = start_lora(base, settings, config.lora, config.run.seed)
        return model, tokenizer, torch.float32  # the adapter's; the base computes in its own
    half = torch.bfloat16 if device == "cuda" else torch.float32
    model = load_model(settings.path, dtype="float32")
    return model, tokenizer, DTYPES.get(settings.dtype, half)


def tiny_texts() -> list[str]:
    """Synthetic problems with their solutions, from which the tiny tokenizer is learnt."""
    template = PromptTemplate(None, "plain")
    problems = synthesize(3000, seed=0)
    return [f"{template.render(problem.question)} {problem.solution}" for problem in problems]


def _examples(config: SftConfig, model: Any, tokenizer: Any) -> list[Example]:
    problems = [p for source in config.data.sources() for p in source.load()]
    template = prompt_template(tokenizer, config.prompt)
    longest = min(config.data.max_tokens or 1 << 30, context_length(model.config))
    examples = [_example(problem, template) for problem in problems]
    fitting = [e for e in examples if len(e[0]) + len(e[1]) <= longest]
    if len(fitting) < len(examples):
        print(f"{len(examples) - len(fitting)} examples of over {longest} tokens are left out")
    if not fitting:
        raise UserError(f"{config.data.name()}: no example fits into {longest} tokens")
    return fitting


def _example(problem: Problem, template: PromptTemplate) -> Example:
    if problem.solution is None:
        raise UserError(f"problem {problem.id} has no worked solution to learn from")
    return template.encode(problem), template.encode_target(problem.solution)


def _save(
    config: SftConfig, model: Any, tokenizer: Any, log: list[dict[str, float]], dtype: torch.dtype
) -> Path:
    out = Path(config.run.out)
    with whole_folder(out, CONTENTS) as folder:
        if config.lora is not None:
            model.save_pretrained(folder)
            write_base_note(folder, str(config.model.path))
            asked = prompt_template(tokenizer, config.prompt).describe()
            write_text(folder / "README.md", adapter_card(config, asked))
        else:
            save_base(folder, model.to(dtype), tokenizer)
        write_text(folder / "sft.toml", to_toml(config))
        write_text(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in log))
    return out
