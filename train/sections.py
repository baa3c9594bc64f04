"""The sections of a configuration, with their defaults and bounds."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Run(Section):
    dir: str = Field(description="the folder of this run")
    seed: int = 0
    steps: int = Field(ge=1, description="optimisation goes on for so many rollout batches")
    save_every: int = Field(50, ge=1, description="steps between checkpoints")
    keep_last: int | None = Field(
        None, ge=1, description="checkpoints kept beside the best; none: all"
    )
    save_rollouts: bool = True
    show_completions: int = Field(
        0, ge=0, description="completions printed with verdicts each step"
    )
    trackers: list[Literal["wandb", "trackio"]] = Field([], description="beside TensorBoard")


class Model(Section):
    path: str = Field(description="base model: a folder or a hub name")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    gradient_checkpointing: bool = False
    autocast: bool = Field(False, description="compute in bfloat16 over float32 weights")
    compile: bool = Field(False, description="torch.compile the layers")


class Lora(Section):
    rank: int = Field(16, ge=1)
    alpha: float = 32.0
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    target_modules: str | list[str] = "all-linear"


class Data(Section):
    train: str = Field(description="problems: a file, a hub set, or synth:…")
    limit: int | None = Field(None, ge=1)
    template: Literal["auto", "chat", "plain"] = "auto"
    max_prompt_tokens: int | None = Field(None, ge=1, description="longer prompts are left out")
    pairs: str | None = Field(
        None, description="a file of question, chosen, rejected, in place of samples (dpo, rlhf)"
    )


class Sampling(Section):
    backend: Literal["auto", "torch", "vllm", "vllm-server"] = "auto"
    temperature: float = Field(1.0, gt=0.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    top_k: int = Field(0, ge=0)
    max_tokens: int = Field(256, ge=1)
    kl_warning: float = Field(0.02, gt=0.0, description="warn where sampler_kl is above")
    sleep: bool = Field(False, description="vLLM on a GPU: lend its memory to the trainer's part")
    options: dict[str, Any] = Field({}, description="passed to the backend as they are")


class Grpo(Section):
    prompts: int = Field(16, ge=1, description="P, prompts a rollout")
    completions: int = Field(8, ge=2, description="N, completions a prompt")
    loss: Literal["grpo", "bnpo", "dapo", "dr_grpo", "gspo", "cispo"] = "dapo"
    scale: Literal["group", "batch", "none"] = "group"
    baseline: Literal["mean", "leave_one_out"] = "mean"
    epsilon: float = Field(0.2, gt=0.0)
    epsilon_high: float | None = Field(None, gt=0.0)
    dual_clip: float | None = Field(None, gt=1.0)
    entropy_bonus: float = 0.0
    beta: float = Field(0.0, ge=0.0, description="weight of the KL to the reference")
    kl: Literal["k1", "k2", "k3"] = "k3"
    reference_every: int = Field(
        0, ge=0, description="steps until the policy is the reference; 0: never"
    )
    correction: Literal["none", "token", "sequence"] = Field(
        "none", description="truncated importance sampling against the sampler's log-probs"
    )
    correction_cap: float = Field(2.0, gt=0.0)
    supervision: Literal["outcome", "process"] = Field(
        "outcome", description="reward the answer, or each line's arithmetic as well"
    )
    epochs: int = Field(1, ge=1, description="passes over a rollout (mu)")
    minibatches: int = Field(1, ge=1, description="optimiser steps a pass")
    strict: bool = Field(False, description="reward marked answers only, not a last number")
    mask_truncated: bool = False
    overlong_free: int | None = Field(
        None, ge=0, description="tokens without penalty; the reward falls by up to 1 at max_tokens"
    )
    dynamic_sampling: bool = Field(False, description="draw on until all groups have a signal")
    max_draws: int = Field(4, ge=1, description="draws of P prompts a step at most")
    curriculum: Literal["none", "weight", "drop"] = Field(
        "none", description="prefer problems solved half the time, or leave out the solved ones"
    )

    @model_validator(mode="after")
    def _sensible(self) -> "Grpo":
        if self.reference_every and not self.beta:
            raise ValueError("reference_every moves a reference that beta = 0 never uses")
        return self


class Reinforce(Section):
    baseline: Literal["moving_average", "none"] = "moving_average"
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="of the moving average, a step")


class Critic(Section):
    kind: Literal["trunk", "separate"] = Field(
        "trunk", description="a head on the policy's trunk, or a network of its own with LoRA"
    )
    through: bool = Field(False, description="let the value loss move the trunk as well")
    gamma: float = Field(1.0, ge=0.0, le=1.0)
    lam: float = Field(0.95, ge=0.0, le=1.0)
    weight: float = Field(0.5, gt=0.0, description="of the value loss")
    clip: float | None = Field(0.2, gt=0.0, description="of a value's move; none: unclipped")
    whiten: bool = Field(True, description="advantages to mean 0 and deviation 1 over the batch")
    lr: float = Field(1e-3, gt=0.0)
    kl_weight: float = Field(0.2, gt=0.0, description="ppo_penalty: of the KL, at first")
    kl_target: float = Field(0.003, gt=0.0, description="ppo_penalty: nats a token and update")


class Rlhf(Section):
    pair_steps: int = Field(20, ge=1, description="steps of the reward model, before PPO begins")
    lr: float = Field(1e-3, gt=0.0, description="of the reward model")


class Trpo(Section):
    delta: float = Field(0.001, gt=0.0, description="limit of the KL of a step, nats a token")
    damping: float = Field(0.1, ge=0.0, description="added to the Fisher matrix's diagonal")
    cg_steps: int = Field(10, ge=1)
    fisher_samples: int = Field(64, ge=1, description="completions the Fisher matrix is taken over")
    backtracks: int = Field(10, ge=1)


class Dpo(Section):
    beta: float = Field(0.1, gt=0.0)
    ranking: int = Field(2, ge=2, description="K completions a ranking, the first one right")


class Optimizer(Section):
    lr: float = Field(1e-5, gt=0.0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0.0)
    max_grad_norm: float = Field(1.0, gt=0.0)
    tokens_per_pass: int | None = Field(
        None, ge=1, description="bound on the tokens of one pass; none: 16384 on a GPU, else 4096"
    )

    def pass_size(self) -> int:
        """The bound on the tokens of one pass: what fits a GPU well, or the caches of a CPU."""
        import torch  # not before a configuration is known good: it takes seconds

        return self.tokens_per_pass or (16_384 if torch.cuda.is_available() else 4_096)


class Evaluation(Section):
    data: str | None = Field(None, description="held-out problems; none: no evaluation")
    every: int = Field(0, ge=0, description="steps between evaluations; 0: only after the last")
    n: int = Field(4, ge=1)
    k: list[int] = [1]
    limit: int | None = Field(None, ge=1)


class SftOutput(Section):
    out: str = Field(description="the folder to write: a model, or an adapter with [lora]")
    seed: int = 0
    steps: int = Field(ge=1)


class SftModel(Section):
    path: str | None = None
    scratch: Literal["tiny"] | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


class SftData(Section):
    train: str
    limit: int | None = Field(None, ge=1)
    template: Literal["auto", "chat", "plain"] = "auto"
    batch: int = Field(64, ge=1, description="worked solutions a step")
    max_tokens: int | None = Field(None, ge=8, description="longer examples are left out")


class SftOptimizer(Optimizer):
    matrix_lr: float | None = Field(
        None, gt=0.0, description="rate of Muon for the layers' matrices; none: AdamW for all"
    )
