"""The whole of GRPO (Shao et al., DeepSeekMath, arXiv 2402.03300) in one file, on a tiny model.

A language model writes N completions to each of P problems; a checker says which are right; those
that did better than their group become likelier. Read it from top to bottom: the loop at the end
is the algorithm, the functions before it are its steps. What is left out, and is in `train/`:
checkpoints and resuming, the KL to a reference, other losses, micro-batches, evaluation, vLLM.

    python examples/grpo_in_one_file.py                         # makes its base model first
    python examples/grpo_in_one_file.py --base runs/base-seed0  # or takes what `make demo` left
"""

import argparse
import random
from pathlib import Path

import torch

from data import Problem, PromptTemplate, synthesize
from models.loading import load_model, load_tokenizer
from models.packed import PackedGroups
from rewards import Checker
from sampling import Completion, Sampler, SamplingParams, load_sampler
from train.advantages import group_advantages, has_mixed_rewards
from train.config import SftConfig, load_config
from train.config.sections import Lora
from train.losses import policy_loss
from train.policy import Policy, add_lora
from train.supervised import run_sft

P, N = 16, 16  # prompts a step, completions a prompt
MAX_TOKENS = 24  # of a completion: enough for one line of work and the answer
LEARNING_RATE = 5e-4
CLIP = 0.2  # ε: how far the ratio of new to old probability may go before its gradient stops


def tiny_base(folder: Path) -> None:
    """Train a model of 0.9M parameters from scratch, mediocre on purpose: a third of the worked
    solutions it learns from contain a slip. Reinforcement needs some right answers to begin with.
    """
    if not (folder / "model.safetensors").is_file():
        data = "synth:train,n=6000,levels=1,slip_rate=0.35"
        settings = {"run.out": folder, "run.steps": 260, "data.train": data, "data.batch": 32}
        words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
        run_sft(load_config(SftConfig, "quickstart/base", words))


def sample(sampler: Sampler, prompts: list[list[int]], seed: int) -> list[list[Completion]]:
    """N completions to each prompt, `[P][N]`, each token drawn from the policy as it is now."""
    params = SamplingParams(temperature=1.0, max_tokens=MAX_TOKENS, seed=seed)
    return sampler.sample(prompts, N, params)


def reward(
    checker: Checker, problems: list[Problem], groups: list[list[Completion]]
) -> torch.Tensor:
    """Rewards [P, N]: 1 where the completion's answer equals the problem's, else 0.

    The checker is strict: only a marked answer counts (`#### 7`). One that takes the last number
    or formula of a text pays for stopping at "24+3", and the policy soon does nothing else.
    """
    verdicts = [
        [checker.check(completion.text, problem.answer).reward for completion in group]
        for problem, group in zip(problems, groups, strict=True)
    ]
    return torch.tensor(verdicts, dtype=torch.float32)


def loss(
    policy: Policy,
    prompts: list[list[int]],
    groups: list[list[Completion]],
    advantages: torch.Tensor,
) -> torch.Tensor:
    """−mean over tokens of min(ρ A, clip(ρ, 1 − ε, 1 + ε) A), with ρ = π_new / π_old per token.

    The sampler has kept log π_old of every token, so one pass of the policy gives ρ.
    """
    # All completions lie in one row without padding, each prompt once for its N completions.
    packed = PackedGroups(prompts, [[c.token_ids for c in group] for group in groups])
    logprobs, _ = policy.logprobs(packed)  # [B, T] with B = P·N, 0 beyond a completion's end
    old = torch.zeros_like(logprobs)
    old[packed.mask] = torch.tensor([x for g in groups for c in g for x in c.logprobs])
    out = policy_loss(logprobs, old, advantages.flatten(), packed.mask, loss="dapo", epsilon=CLIP)
    return out.loss


def train(base: Path, steps: int, seed: int = 0) -> list[float]:
    """GRPO from a base model; returns the mean reward of each step."""
    tokenizer = load_tokenizer(base)
    template = PromptTemplate(tokenizer)
    model = add_lora(load_model(base, device="cpu"), Lora(rank=32, alpha=64), seed)
    policy = Policy(model.eval(), temperature=1.0)
    sampler = load_sampler("torch", policy.model, tokenizer=tokenizer)  # the very same weights
    optimizer = torch.optim.AdamW(policy.parameters, lr=LEARNING_RATE, betas=(0.9, 0.99))
    every_problem = synthesize(2000, seed=seed, split="train", levels=(1,))
    checker, draw, means = Checker(strict=True), random.Random(seed), []
    for step in range(1, steps + 1):
        problems = draw.sample(every_problem, P)
        prompts = [template.encode(problem.question) for problem in problems]
        groups = sample(sampler, prompts, seed=step)
        rewards = reward(checker, problems, groups)  # [P, N]
        advantages = group_advantages(rewards)  # (r − mean of the group) / std of the group
        if bool(has_mixed_rewards(rewards).any()):  # all right or all wrong: nothing to learn
            loss(policy, prompts, groups, advantages).backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        means.append(float(rewards.mean()))
        print(f"step {step:3}  mean reward {means[-1]:.3f}  {groups[0][0].text!r}", flush=True)
    return means


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The whole of GRPO in one file.")
    parser.add_argument("--base", type=Path, default=Path("runs/base-one-file"))
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    tiny_base(options.base)
    train(options.base, options.steps)
