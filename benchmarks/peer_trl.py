"""TRL's GRPOTrainer on our prompts and rewards, for the benchmarks; not run by itself."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from data import Mixture, Problem, PromptTemplate
from eval.judge import judge
from models.loading import eos_ids
from rewards import Checker
from train.config import TrainConfig
from train.curriculum import Curriculum


@dataclasses.dataclass
class Reward:
    """Our checker as TRL's reward function; counts the tokens that it is shown."""

    problems: list[Problem]
    checker: Checker
    ends: set[int]  # token ids that end a completion
    tokens: list[int] = dataclasses.field(default_factory=list)  # of each call
    __name__ = "reward"

    def __call__(
        self, completions: list[str], completion_ids: list[list[int]], problem: list[int], **_: Any
    ) -> list[float]:
        self.tokens.append(sum(map(len, completion_ids)))
        answered = [
            (self.problems[which], text, not ids or ids[-1] not in self.ends)
            for which, text, ids in zip(problem, completions, completion_ids, strict=True)
        ]
        return [float(v.reward) for v in judge(self.checker, answered)]


def grpo_trainer(
    config: TrainConfig, problems: list[Problem], template: PromptTemplate, **more: Any
) -> tuple[Any, Reward]:
    """A GRPOTrainer with the settings of `config`, and its reward; `more`: fields of GRPOConfig.

    It begins from the same LoRA weights as our trainer and takes the same problems in the same order.
    """
    warnings.simplefilter("ignore")
    with contextlib.redirect_stderr(None):
        from datasets import Dataset
        from transformers import AutoModelForCausalLM
        from trl import GRPOConfig, GRPOTrainer

    size, optimizer = config.rollout, config.optimizer
    grpo: Any = config.algorithm
    settings = {
        "output_dir": config.run.dir, "seed": config.run.seed, "max_steps": config.run.steps,
        "per_device_train_batch_size": size.prompts * size.completions,
        "num_generations": size.completions, "max_completion_length": config.sampling.max_tokens,
        "temperature": config.sampling.temperature, "top_p": 1.0, "top_k": 0,
        "learning_rate": optimizer.lr, "lr_scheduler_type": "constant", "warmup_steps": 0,
        "adam_beta1": optimizer.betas[0], "adam_beta2": optimizer.betas[1],
        "weight_decay": optimizer.weight_decay, "max_grad_norm": optimizer.max_grad_norm,
        "beta": grpo.beta, "epsilon": grpo.epsilon, "loss_type": grpo.loss, "scale_rewards": "group",
        "use_cpu": not torch.cuda.is_available(), "bf16": False, "gradient_checkpointing": False, "report_to": [],
        "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True,
        "mask_truncated_completions": grpo.mask_truncated, "shuffle_dataset": False, **more,
    }  # fmt: skip
    order = Curriculum(Mixture([problems], [1.0], seed=config.run.seed))
    taken = [i for _ in range(config.run.steps) for i in order.take(size.prompts)]
    rows = [{"prompt": template.render(problems[i]), "problem": i} for i in taken]
    _check_prompts(template, [problems[i] for i in taken[: size.prompts]])
    base = AutoModelForCausalLM.from_pretrained(config.model.path, dtype="float32")
    ends = set(eos_ids(base, template.tokenizer))
    checker = Checker(strict=config.reward.strict, form=config.reward.form)
    reward = Reward(problems, checker, ends)
    trainer = GRPOTrainer(
        model=_with_lora(base, config),
        reward_funcs=reward,  # type: ignore[arg-type]
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_list(rows),
        processing_class=template.tokenizer,
    )
    return trainer, reward


def _with_lora(base: Any, config: TrainConfig) -> Any:
    """The base with the adapter that our trainer begins from."""
    from peft import LoraConfig, PeftModel, get_peft_model

    if config.model.adapter:
        return PeftModel.from_pretrained(base, config.model.adapter, is_trainable=True)
    torch.manual_seed(config.run.seed)
    lora = LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,  # type: ignore[arg-type]
        target_modules=config.lora.target_modules,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, lora)


def _check_prompts(template: PromptTemplate, problems: list[Problem]) -> None:
    """TRL is given text and tokenises it itself; raises UserError where that is not our prompt."""
    for problem in problems:
        if template.tokenizer(template.render(problem))["input_ids"] != template.encode(problem):
            raise UserError(
                "TRL would ask with other prompt tokens than mathgrpo for this tokenizer"
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
