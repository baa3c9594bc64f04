"""The two configurations, a training run's and a fine-tuning's, with all checks across sections."""

from typing import Any

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from train.config.algorithm import AlgorithmSettings
from train.config.sections import (
    Data,
    Evaluation,
    Lora,
    Model,
    Optimizer,
    Parallel,
    Prompt,
    Reward,
    Rollout,
    Run,
    Sampling,
    Section,
    SftData,
    SftModel,
    SftOptimizer,
    SftOutput,
)
from train.config.start import lora_of
from train.registry import algorithm_class


class TrainConfig(Section):
    """`mathgrpo train`: a run of one algorithm, GRPO unless told otherwise."""

    run: Run
    model: Model
    lora: Lora = Lora()
    data: Data
    prompt: Prompt = Prompt()
    rollout: Rollout = Rollout()
    sampling: Sampling = Sampling()
    reward: Reward = Reward()
    algorithm: SerializeAsAny[AlgorithmSettings] = Field(
        default={"name": "grpo"}, validate_default=True
    )
    optimizer: Optimizer = Optimizer()
    parallel: Parallel = Parallel()
    eval: Evaluation = Evaluation()

    @field_validator("algorithm", mode="before")
    @classmethod
    def _settings_of_the_named(cls, value: Any, _: ValidationInfo) -> Any:
        """The settings of the algorithm that `name` names: a union whose members it holds apart."""
        if isinstance(value, AlgorithmSettings):
            return value
        if not isinstance(value, dict):
            raise ValueError('expected a table such as { name = "grpo" }')
        settings = algorithm_class(str(value.get("name", "grpo"))).Settings
        return settings.model_validate(value)

    @model_validator(mode="after")
    def _lora_is_the_adapters(self) -> "TrainConfig":
        if self.model.adapter:
            self.lora = lora_of(self.model.adapter, self.lora) or self.lora
        return self

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "TrainConfig":
        if self.optimizer.warmup_steps > self.run.steps:
            raise ValueError(
                f"optimizer.warmup_steps = {self.optimizer.warmup_steps} is more than "
                f"run.steps = {self.run.steps}"
            )
        free, longest = self.reward.overlong_free, self.sampling.max_tokens
        if free is not None and free >= longest:
            raise ValueError(
                f"reward.overlong_free = {free} must be less than sampling.max_tokens = {longest}"
            )
        if self.rollout.ahead and self.sampling.sleep:
            raise ValueError("sampling.sleep has no meaning with rollout.ahead: it never rests")
        if self.parallel.shard and self.model.compile:
            raise ValueError("model.compile is not supported with parallel.shard")
        self._reward_functions_exist()
        self._evaluation_makes_sense()
        self.algorithm.check(self)
        return self

    def _reward_functions_exist(self) -> None:
        """Raise UserError for a function that cannot be loaded."""
        from rewards.functions import load_function  # sympy: only where it is needed

        for function in self.reward.functions:
            if function.path != "correct":
                load_function(function.path)

    def _evaluation_makes_sense(self) -> None:
        settings = self.eval
        if settings.every and settings.data is None:
            raise ValueError("eval.every is set but eval.data names no held-out problems")
        for k in settings.k:
            if not 1 <= k <= settings.n:
                raise ValueError(f"eval.k = {k} must lie between 1 and eval.n = {settings.n}")


class SftConfig(Section):
    """`mathgrpo sft`: supervised fine-tuning on worked solutions."""

    run: SftOutput
    model: SftModel
    lora: Lora | None = None
    data: SftData
    prompt: Prompt = Prompt()
    optimizer: SftOptimizer = SftOptimizer()

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "SftConfig":
        if (self.model.path is None) == (self.model.scratch is None):
            raise ValueError("give either model.path or model.scratch")
        if self.model.scratch and self.model.adapter:
            raise ValueError("model.scratch is a new model; leave model.adapter out")
        if self.model.adapter:
            self.lora = lora_of(self.model.adapter, self.lora) or self.lora or Lora()
        if self.model.scratch and self.lora is not None:
            raise ValueError("model.scratch trains all weights; leave [lora] out")
        if self.optimizer.warmup_steps > self.run.steps:
            raise ValueError("optimizer.warmup_steps is more than run.steps")
        return self
