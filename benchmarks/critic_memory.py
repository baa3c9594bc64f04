"""`python benchmarks/critic_memory.py`: what a critic of its own costs in memory, beside GRPO.

One step of `grpo`, of `ppo` with a critic on the policy's trunk and of `ppo` with a separate
critic, on a Qwen2 of 0.5B's shape with random weights (24 layers, width 896, vocabulary 151,936),
float32 with AdamW, LoRA of rank 16 and all weights trained; 2 × 4 random completions of 32 + 32
tokens. Each in a process of its own. Prints the memory of weights, gradients and optimiser, as
counted, and by how much the step raised the peak of the process over what it held before the
models were loaded. All weights trained need 16 GB and some for activations.
"""

import ctypes
import gc
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT)

import torch

GROUPS, N, LENGTH = 2, 4, 32
KINDS = {"grpo": None, "ppo, critic on the trunk": "trunk", "ppo, separate critic": "separate"}


def write_model(folder: str) -> None:
    """A Qwen2 of 0.5B's shape with random weights, and some tokenizer."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from models.tiny import tiny_tokenizer
    from train.supervised import tiny_texts

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tiny_tokenizer(tiny_texts()).save_pretrained(folder)


def rollout(problems: list[Any]):
    """Random completions, half of each group right."""
    from rewards import Verdict
    from sampling import Completion
    from train.rollout import Rollout

    def ids() -> list[int]:
        return torch.randint(0, 151_936, (LENGTH,)).tolist()

    rewards = torch.tensor([[0.0, 1.0] * (N // 2)] * GROUPS)
    verdict = Verdict(0, None, "random", 0.0)
    return Rollout(
        step=1,
        seed=0,
        problems=problems[:GROUPS],
        sources=["random"] * GROUPS,
        prompts=[ids() for _ in range(GROUPS)],
        completions=[
            [Completion("", ids(), [-12.0] * LENGTH, "stop") for _ in range(N)]
            for _ in range(GROUPS)
        ],
        verdicts=[[verdict] * N for _ in range(GROUPS)],
        rewards=rewards,
        shaped=rewards,
        sample_seconds=0.0,
        reward_seconds=0.0,
    )


def measure(base: str, kind: str, train_all: bool) -> None:
    """Print counted GB and the rise of the peak in GB, of one step."""
    from train.build import open_optimizer
    from train.config import TrainConfig, load_config
    from train.run import Run
    from train.update import update

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty.toml").touch()
        words = f"""--run.dir {folder}/run --run.steps 1 --model.path {base} --model.dtype float32
            --data.train synth:train,n={GROUPS} --sampling.backend torch --rollout.prompts {GROUPS}
            --rollout.completions {N} --optimizer.tokens_per_pass 128 --algorithm.name {kind.split(",")[0]}""".split()
        if critic := KINDS[kind]:
            words += ["--algorithm.critic.kind", critic]
        config = load_config(TrainConfig, Path(folder) / "empty.toml", words)
        before = memory("VmRSS")
        run = Run(config)
    own = getattr(getattr(run.algorithm, "critic", None), "own", None)
    networks = [run.policy.model, *([own.model] if own else [])]
    if train_all:
        for network in networks:
            network.requires_grad_(True)
        run.optimizer = open_optimizer(run.algorithm, config)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    batch = run.algorithm.prepare(rollout(run.rollouts.mixture.problems))
    update(run.policy, run.optimizer, batch, run.algorithm, 1e-6)
    weights = {id(p): p for network in networks for p in network.parameters()}
    head = list(run.algorithm.critic.head.parameters()) if critic else []
    every = [*weights.values(), *head]
    trained = sum(p.numel() for p in every if p.requires_grad)
    counted = 4 * sum(p.numel() for p in every) + 12 * trained  # a gradient and two moments
    print(counted / 1e9, (memory("VmHWM") - before) / 1e9)


def memory(key: str) -> int:
    """A figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        write_model(base)
        print(
            "| trained | algorithm | weights + gradients + optimiser | against grpo | peak of a step |"
        )
        print("|---|---|---|---|---|")
        for train_all, label in ((False, "LoRA, rank 16"), (True, "all weights")):
            first = None
            for kind in KINDS:
                words = [sys.executable, __file__, base, kind, str(int(train_all))]
                done = subprocess.run(words, capture_output=True, text=True)
                if done.returncode:
                    raise SystemExit(done.stderr[-2000:])
                counted, peak = map(float, done.stdout.split()[-2:])
                first = first or counted
                print(
                    f"| {label} | {kind} | {counted:.2f} GB | {counted / first:.2f} × | "
                    f"{peak:.2f} GB |",
                    flush=True,
                )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], sys.argv[3] == "1")
    else:
        main()
