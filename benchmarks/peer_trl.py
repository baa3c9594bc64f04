"""TRL's GRPOTrainer on our prompts and rewards, for the benchmarks; not run by itself."""

import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from data import Problem, PromptTemplate
from rewards import Checker
from train.config import TrainConfig
from train.curriculum import Curriculum


def grpo_trainer(
    config: TrainConfig, problems: list[Problem], template: PromptTemplate, **more: Any
):
    """A GRPOTrainer with the settings of `config`; `more` are fields of GRPOConfig.

    It begins from the same LoRA weights as our trainer and takes the same problems in the same order.
    """
    warnings.simplefilter("ignore")
    with contextlib.redirect_stderr(None):
        from datasets import Dataset
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM
        from trl import GRPOConfig, GRPOTrainer

    checker = Checker()

    def reward(completions: list[str], gold: list[str], **_: Any) -> list[float]:
        pairs = zip(completions, gold, strict=True)
        return [float(v.reward) for v in checker.check_many(pairs)]

    grpo, optimizer = config.grpo, config.optimizer
    settings = {
        "output_dir": config.run.dir, "seed": config.run.seed, "max_steps": config.run.steps,
        "per_device_train_batch_size": grpo.prompts * grpo.completions,
        "num_generations": grpo.completions, "max_completion_length": config.sampler.max_tokens,
        "temperature": config.sampler.temperature, "top_p": 1.0, "top_k": 0,
        "learning_rate": optimizer.lr, "lr_scheduler_type": "constant", "warmup_steps": 0,
        "adam_beta1": optimizer.betas[0], "adam_beta2": optimizer.betas[1],
        "weight_decay": optimizer.weight_decay, "max_grad_norm": optimizer.max_grad_norm,
        "beta": grpo.beta, "epsilon": grpo.epsilon, "loss_type": grpo.loss, "scale_rewards": "group",
        "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": [],
        "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True,
        "mask_truncated_completions": grpo.mask_truncated, "shuffle_dataset": False, **more,
    }  # fmt: skip
    lora = LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,  # type: ignore[arg-type]
        target_modules=config.lora.target_modules,
        task_type="CAUSAL_LM",
    )
    order = Curriculum(len(problems), config.run.seed)
    taken = [problems[i] for _ in range(config.run.steps) for i in order.take(grpo.prompts)]
    rows = [{"prompt": template.render(p.question), "gold": p.answer} for p in taken]
    base = AutoModelForCausalLM.from_pretrained(config.model.path, dtype="float32")
    torch.manual_seed(config.run.seed)
    return GRPOTrainer(
        model=get_peft_model(base, lora),
        reward_funcs=reward,
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_list(rows),
        processing_class=template.tokenizer,
    )


def timed(trainer: Any, name: str) -> list[float]:
    """Wrap a method so that the seconds of each call are collected in the list returned."""
    seconds: list[float] = []
    plain: Callable = getattr(trainer, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        result = plain(*args, **kwargs)
        seconds.append(time.perf_counter() - begun)
        return result

    setattr(trainer, name, wrapped)
    return seconds


def save_adapter(trainer: Any, folder: Path) -> Path:
    """Write the trained adapter."""
    trainer.model.save_pretrained(str(folder))
    return folder
