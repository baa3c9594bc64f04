"""The sections of a configuration: every setting with its default, its bounds and one line of help.

What only one algorithm reads stands in that algorithm's file, not here.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from data import Source
from data.shots import SHOTS

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Run(Section):
    dir: str = Field(min_length=1, description="the folder of this run")
    seed: int = Field(0, description="of data order, sampling and initial weights")
    steps: int = Field(ge=1, description="steps, each one rollout and one update")
    save_every: int = Field(50, ge=1, description="steps between checkpoints")
    keep_last: int | None = Field(
        None, ge=1, description="checkpoints kept beside the best; none: all"
    )
    save_rollouts: bool = Field(True, description="keep every completion in rollouts/")
    show_completions: int = Field(
        0, ge=0, description="completions printed with their verdicts each step"
    )
    trackers: list[Literal["wandb", "trackio"]] = Field([], description="beside TensorBoard")


class Model(Section):
    path: str = Field(min_length=1, description="base model: a folder or a hub name")
    adapter: str | None = Field(
        None,
        min_length=1,
        description="start from this LoRA, such as one of sft; it brings [lora]",
    )
    reference: Literal["start", "base"] = Field(
        "start", description="what KL and DPO measure from: the adapter at the start, or the base"
    )
    dtype: Dtype = Field("auto", description="of the base's weights; auto: bfloat16 on a GPU")
    quantize: Literal["nf4"] | None = Field(
        None, description="QLoRA: the frozen base in 4 bits a weight, by bitsandbytes"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations twice instead of keeping them"
    )
    autocast: bool = Field(False, description="compute in bfloat16 over float32 weights")
    compile: bool = Field(False, description="torch.compile the layers")
    float32_head: bool = Field(
        False,
        description="logits in float32 from half-precision weights, the torch sampler's too",
    )


class Lora(Section):
    rank: int = Field(16, ge=1, description="of the adapter's matrices")
    alpha: float = Field(32.0, gt=0.0, description="the adapter is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="inside the adapter, in training")
    target_modules: str | list[str] = Field("all-linear", description="layers that get an adapter")

    @field_validator("target_modules")
    @classmethod
    def _layers_only(cls, value: str | list[str]) -> str | list[str]:
        named = [value] if isinstance(value, str) else value
        if found := [n for n in named if n.rpartition(".")[2] in ("lm_head", "embed_tokens")]:
            raise ValueError(f"{found[0]} cannot get an adapter: name layers of the decoder")
        return value


class TrainSource(Section):
    source: str = Field(min_length=1, description="a file, a hub set, synth:…, reasoning_gym:…")
    weight: float = Field(1.0, gt=0.0, description="its share beside the other sources' weights")
    fields: dict[str, str] = Field({}, description="question, answer, … -> the set's columns")
    leave_out: dict[str, list[Any]] = Field({}, description="column -> values of rows to skip")
    limit: int | None = Field(None, ge=1, description="only so many problems; none: all")


class TrainData(Section):
    train: str | list[TrainSource] = Field(
        min_length=1,
        description="a file, a hub set, synth:…, reasoning_gym:…, or [[data.train]]",
    )
    fields: dict[str, str] = Field({}, description="question, answer, … -> the set's columns")
    leave_out: dict[str, list[Any]] = Field({}, description="column -> values of rows to skip")
    limit: int | None = Field(None, ge=1, description="only so many problems; none: all")

    def sources(self) -> list[Source]:
        """The sources with their weights; one for a single `train`."""
        tables = self.train
        if isinstance(tables, str):
            tables = [
                TrainSource(
                    source=tables, fields=self.fields, leave_out=self.leave_out, limit=self.limit
                )
            ]
        return [Source(**table.model_dump()) for table in tables]

    def name(self) -> str:
        """What to call the problems in a message."""
        return ", ".join(source.source for source in self.sources())

    @model_validator(mode="after")
    def _tables_say_all_of_themselves(self) -> Self:
        if not isinstance(self.train, str) and (self.fields or self.leave_out or self.limit):
            raise ValueError("fields, leave_out and limit stand in each table of [[data.train]]")
        return self


class Data(TrainData):
    max_prompt_tokens: int | None = Field(None, ge=1, description="skip problems with more")


class Prompt(Section):
    template: Literal["auto", "chat", "plain"] = Field(
        "auto", description="the tokenizer's chat template, or plain text; auto: chat if it has one"
    )
    system: str | None = Field(
        None, description="the system message of a chat; none: ours, an empty text: no message"
    )
    shots: int = Field(0, ge=0, le=len(SHOTS), description="worked examples before the question")
    chat_template_kwargs: dict[str, Any] = Field(
        {}, description="passed to the chat template, such as enable_thinking"
    )


class Rollout(Section):
    prompts: int = Field(16, ge=1, description="P, prompts a step")
    completions: int = Field(8, ge=2, description="N, completions a prompt")
    dynamic_sampling: bool = Field(
        False, description="draw until P groups have mixed rewards, at most max_draws times"
    )
    max_draws: int = Field(4, ge=1, description="draws of P prompts a step at most")
    curriculum: Literal["none", "weight", "drop"] = Field(
        "none", description="prefer problems solved half the time, or leave out the solved ones"
    )
    ahead: Literal[0, 1] = Field(
        0, description="1: sample the next step while this one is learnt, with the adapter before"
    )


class Parallel(Section):
    shard: bool = Field(
        False, description="under torchrun, keep a part of the frozen base on each GPU (FSDP2)"
    )


class Sampling(Section):
    backend: Literal["auto", "torch", "vllm", "vllm-server"] = Field(
        "auto", description="what samples; auto: vLLM where it is installed with a GPU, else torch"
    )
    temperature: float = Field(1.0, gt=0.0, description="of sampling and training alike")
    top_p: float = Field(1.0, gt=0.0, le=1.0, description="keep the likeliest, up to this sum")
    top_k: int = Field(0, ge=0, description="keep the k likeliest tokens; 0: all")
    min_p: float = Field(0.0, ge=0.0, lt=1.0, description="drop below this share of the top")
    max_tokens: int = Field(256, ge=1, description="longest completion, in tokens")
    stop: list[str] = Field([], description="strings that end a completion")
    kl_warning: float = Field(0.02, gt=0.0, description="warn where sampler_kl is above")
    sleep: bool = Field(False, description="vLLM lends its GPU memory to the update")
    options: dict[str, Any] = Field({}, description="passed to the backend as they are")

    @field_validator("options")
    @classmethod
    def _no_secrets(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Options are written into the run's folder, where a token has no place."""
        servers = value.get("servers", [])
        addresses = [servers] if isinstance(servers, str) else servers
        secret = {"token", "api_key", "api-key", "password"} & set(value)
        if secret or any("@" in str(address) for address in addresses):
            raise ValueError(
                f"{min(secret, default='an address with a password')} would be written to "
                "config.toml; set the environment variable MATHGRPO_TOKEN instead"
            )
        return value

    @property
    def truncates(self) -> bool:
        """Whether unlikely tokens are never sampled."""
        return self.top_p < 1 or self.top_k > 0 or self.min_p > 0


class RewardFunction(Section):
    path: str = Field(
        min_length=1, description="correct, format, length, repetition, or FILE.py:function"
    )
    weight: float = Field(1.0, description="its share of the reward")


class Reward(Section):
    functions: list[RewardFunction] = Field(
        [RewardFunction(path="correct")], min_length=1, description="what a completion is paid for"
    )
    timeout: float = Field(10.0, gt=0.0, description="seconds a reward function may take a call")
    form: Literal["value", "final"] = Field(
        "final", description="final: worked out as far as the gold is; value: any equal expression"
    )
    strict: bool = Field(
        True, description="reward marked answers only (box, ####, 'the answer is'), no last number"
    )
    overlong_free: int | None = Field(
        None, ge=0, description="tokens without penalty; then the reward falls by 1 to max_tokens"
    )


class AdamW(Section):
    lr: float = Field(1e-5, gt=0.0, description="peak learning rate")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="after warm-up; linear and cosine fall to a tenth of the peak"
    )
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up")
    betas: tuple[float, float] = Field((0.9, 0.99), description="AdamW's two decay rates")
    weight_decay: float = Field(0.0, ge=0.0, description="AdamW's decoupled weight decay")
    max_grad_norm: float = Field(1.0, gt=0.0, description="gradients are clipped to this norm")
    tokens_per_pass: int | None = Field(
        None, ge=1, description="tokens of a micro-batch at most; none: 16384 on a GPU, else 4096"
    )

    def pass_size(self) -> int:
        """The tokens of a micro-batch: what fits a GPU well, or the caches of a CPU."""
        import torch  # not before a configuration is known good: it takes seconds

        return self.tokens_per_pass or (16_384 if torch.cuda.is_available() else 4_096)


class Optimizer(AdamW):
    epochs: int = Field(1, ge=1, description="passes over a rollout")
    minibatches: int = Field(1, ge=1, description="optimiser steps a pass")


class Evaluation(Section):
    data: str | None = Field(None, description="held-out problems; none: no evaluation")
    every: int = Field(0, ge=0, description="steps between evaluations; 0: only after the last")
    n: int = Field(4, ge=1, description="completions a problem")
    k: list[int] = Field([1], min_length=1, description="pass@k for these k")
    limit: int | None = Field(None, ge=1, description="only so many problems; none: all")
    max_tokens: int | None = Field(
        None, ge=1, description="longest completion; none: as in sampling"
    )


class SftOutput(Section):
    out: str = Field(
        min_length=1, description="folder to write: a model, or an adapter with [lora]"
    )
    seed: int = Field(0, description="of data order and initial weights")
    steps: int = Field(ge=1, description="optimiser steps")
    save_every: int = Field(100, ge=1, description="steps between savings of what is learnt so far")


class SftModel(Section):
    path: str | None = Field(None, description="base model: a folder or a hub name")
    adapter: str | None = Field(None, min_length=1, description="go on with this LoRA on it")
    scratch: Literal["tiny"] | None = Field(None, description="or a new model, random weights")
    dtype: Dtype = Field("auto", description="of the weights; auto: bfloat16 on a GPU")


class SftData(TrainData):
    batch: int = Field(64, ge=1, description="worked solutions a step")
    max_tokens: int | None = Field(None, ge=8, description="skip longer examples")


class SftOptimizer(AdamW):
    matrix_lr: float | None = Field(
        None, gt=0.0, description="rate of Muon for the layers' matrices; none: AdamW for all"
    )
