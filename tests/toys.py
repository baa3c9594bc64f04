"""A policy of a few hundred weights and a rollout made by hand, for exact checks in float64."""

from types import SimpleNamespace

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from models.packed import ATTENTION
from rewards import Verdict
from sampling.completion import Completion
from tests.conftest import config_of
from train.config.sections import Lora
from train.policy import Policy, add_lora
from train.registry import algorithm_class
from train.rollout import Rollout
from train.update import update

LINE_END = 9
LINES = {True: "1+1=2", False: "1+1=3"}


class ToyTokenizer:
    """Token 9 ends a line; the others are letters."""

    def decode(self, ids, **_):
        return "".join("\n" if i == LINE_END else chr(97 + i) for i in ids)


def toy_policy(*, dropout=0.0, seed=0, std=0.3, **options):
    """A float64 Qwen2 of one layer with a LoRA adapter that does something."""
    torch.manual_seed(seed)
    shape = Qwen2Config(
        vocab_size=12, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64,
    )  # fmt: skip
    model = Qwen2ForCausalLM(shape)
    torch.nn.init.normal_(model.lm_head.weight, std=0.5)
    model.set_attn_implementation(ATTENTION)
    model = add_lora(model, Lora(rank=2, alpha=4, dropout=dropout), 0).double().eval()
    for parameter in (p for p in model.parameters() if p.requires_grad):
        torch.nn.init.normal_(parameter, std=std)
    return Policy(model, 1.0, **options)


def toy_learner(name="grpo", policy=None, reward=None, sampling=None, optimizer=None, **algorithm):
    """An algorithm on a toy policy."""
    config = config_of(
        "unused",
        "unused",
        algorithm={"name": name, **algorithm},
        reward=reward or {},
        sampling=sampling or {},
        optimizer={"max_grad_norm": 1e9, **(optimizer or {})},
    )
    prompt = SimpleNamespace(tokenizer=ToyTokenizer())
    return algorithm_class(name)(config, policy or toy_policy(), prompt)


# One row a group: for each completion its reward and whether its first line's arithmetic holds.
GROUPS = {
    "mixed": [(1, True), (0, False), (0, True)],
    "all wrong": [(0, True), (0, False), (0, False)],
    "all right": [(1, True), (1, True), (1, True)],
    "wrong, steps equal": [(0, False), (0, False), (0, False)],
    "mixed, cut off": [(1, False), (0, False), (1, True)],
}


def toy_rollout(groups=tuple(GROUPS), *, penalties=False, dtype=torch.float64, seed=5):
    """Groups by name, completions of unlike lengths, the last of a group cut off."""
    draw = torch.Generator().manual_seed(seed)

    def tokens(low, high):
        count = int(torch.randint(low, high, (1,), generator=draw))
        return torch.randint(0, 9, (count,), generator=draw).tolist()

    prompts, completions = [], []
    for name in groups:
        prompts.append(tokens(2, 6))
        members = []
        for reward, holds in GROUPS[name]:
            ids = [*tokens(1, 4), LINE_END, *tokens(1, 6)]
            logprobs = (-torch.randint(16, 160, (len(ids),), generator=draw) / 64).tolist()
            cut = name == "mixed, cut off" and len(members) == 2
            text = f"{LINES[holds]}\n#### {reward}"
            members.append(Completion(text, ids, logprobs, "length" if cut else "stop"))
        completions.append(members)
    rewards = torch.tensor([[r for r, _ in GROUPS[name]] for name in groups], dtype=dtype)
    taken = torch.randint(0, 8, rewards.shape, generator=draw).to(dtype) / 16
    verdicts = [[Verdict(int(r), None, "toy", 0.0) for r in row] for row in rewards.tolist()]
    return Rollout(
        step=1, seed=3, problems=[None] * len(prompts), sources=["toy"] * len(prompts), prompts=prompts, completions=completions,
        verdicts=verdicts, rewards=rewards, shaped=rewards - taken * penalties, sample_seconds=0.0,
        reward_seconds=0.0,
    )  # fmt: skip


def shake(policy, std=0.05, seed=9):
    """Move the policy, as earlier optimiser steps on the same rollout would."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters:
            noise = torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype)
            parameter += std * noise


def toy_step(algorithm, rollout, rate=1e-2):
    """One update by plain gradient descent; its metrics."""
    optimizer = torch.optim.SGD(algorithm.parameter_groups(), lr=rate)
    return update(algorithm.policy, optimizer, algorithm.prepare(rollout), algorithm, rate)
