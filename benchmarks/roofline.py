"""`python benchmarks/roofline.py [MODEL]`: the share of the machine's own matrix rate that is used.

The rate is that of the best of several square matrix products in the model's dtype. Beside it: one
training pass (forward and backward of a LoRA policy over P prompts × N completions), and sampling
of as many with the embedded sampler, cold and warm. Work is counted as the algorithm needs it:
2 · weights · tokens forward, as much again for the gradients of the inputs (frozen weights get none),
attention, the head on completion tokens alone; what is computed twice or padded counts once.
MODEL is a folder or hub name, by default SmolLM2; `--shape LAYERS,WIDTH,MIDDLE,HEADS,KV,V` makes a
random model instead (0.5B: 24,896,4864,14,2,151936). Any device.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from models.head import causal_lm
from models.packed import ATTENTION, PackedGroups
from models.selftest import choose_path
from models.tiny import tiny_tokenizer
from sampling import SamplingParams, load_sampler
from train.config.sections import Lora
from train.policy import Policy, add_lora

RANK = 16


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(run: Callable[[], Any]) -> float:
    synchronize()
    begun = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - begun


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Operations a second of the fastest square matrix product."""
    best = 0.0
    for n in (1024, 2048) if device == "cpu" else (4096, 8192):
        a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
        product = lambda a=a, b=b: a @ b  # noqa: E731
        seconds(product)
        best = max(best, *(2 * n**3 / seconds(product) for _ in range(5)))
    return best


def random_model(shape: str) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    layers, width, middle, heads, kv, vocabulary = map(int, shape.split(","))
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=middle, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=kv, max_position_embeddings=65_536, tie_word_embeddings=True,
        )
    )  # fmt: skip


class Work:
    """Operations that a model of this shape needs."""

    def __init__(self, model: Any):
        lm = causal_lm(model)
        config = lm.config.get_text_config()
        self.head = config.vocab_size * config.hidden_size
        matrices = [p for n, p in lm.named_parameters() if p.ndim == 2 and "lora_" not in n]
        self.weights = sum(
            p.numel() for p in matrices if p.numel() != self.head
        )  # the embedding is looked up
        self.lora = sum(p.numel() for n, p in lm.named_parameters() if "lora_" in n)
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.seen = 4 * config.num_hidden_layers * heads * width  # for a token seen by a token

    def forward(self, prompts: int, n: int, prompt: int, tokens: int, *, shared: bool) -> float:
        """Of P prompts with N completions each, every prompt once if `shared`."""
        rows = prompts * n
        packed = prompts * prompt * (1 if shared else n) + rows * tokens
        pairs = prompts * prompt**2 / 2 + rows * tokens * (prompt + tokens / 2)
        return (
            2 * (self.weights + self.lora) * packed
            + 2 * self.head * rows * tokens
            + self.seen * pairs
        )

    def training(self, *sizes: int) -> float:
        """Forward, gradients of all inputs, gradients of the adapter; attention's are 2.5 times."""
        forward = self.forward(*sizes, shared=True)
        prompts, n, prompt, tokens = sizes
        packed = prompts * prompt + prompts * n * tokens
        pairs = prompts * prompt**2 / 2 + prompts * n * tokens * (prompt + tokens / 2)
        return 2 * forward + 2 * self.lora * packed + 0.5 * self.seen * pairs


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--shape")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--completions", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--tokens", type=int, default=48, help="tokens of a completion")
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    options = parser.parse_args(argv)
    from models.fetch import fetch
    from models.loading import DTYPES, load_model, resolve_dtype

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = DTYPES[resolve_dtype("auto", device)]
    if options.shape:
        model = choose_path("random", random_model(options.shape).to(device, dtype).eval())
    else:
        model = load_model(options.model or fetch("smollm2"))
    policy = Policy(add_lora(model, Lora(rank=RANK), 0).eval(), 1.0)
    if options.checkpointing:
        policy.model.enable_input_require_grads()
        policy.model.gradient_checkpointing_enable({"use_reentrant": False})
    work, sizes = (
        Work(policy.model),
        (options.prompts, options.completions, options.prompt, options.tokens),
    )
    rate = matrix_rate(device, dtype)
    name = (
        torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    )
    print(f"{device} ({name}), {dtype}: {rate / 1e9:,.0f} GFLOP/s; {sizes} P × N, prompt, tokens")

    def draw(count: int) -> list[int]:
        return torch.randint(5, 1000, (count,)).tolist()

    prompts = [draw(options.prompt) for _ in range(options.prompts)]

    def one_pass() -> None:
        answers = [[draw(options.tokens) for _ in range(options.completions)] for _ in prompts]
        logprobs, _ = policy.logprobs(PackedGroups(prompts, answers, device))
        logprobs.sum().backward()

    sampler = load_sampler("torch", policy.model, tokenizer=tiny_tokenizer(["one"]))
    policy.model.get_base_model().generation_config.eos_token_id = []  # all of one length
    asked = SamplingParams(1.0, options.tokens, seed=1)
    written = options.prompts * options.completions * options.tokens
    for name, run, operations in (
        ("training pass", one_pass, work.training(*sizes)),
        (
            "sampling",
            lambda: sampler.sample(prompts, options.completions, asked),
            work.forward(*sizes, shared=True),
        ),
    ):
        times = [seconds(run) for _ in range(4)]
        for when, taken in (("cold", times[0]), ("warm", min(times[1:]))):
            print(
                f"{name:<14}{when}: {taken:6.2f} s, {written / taken:8,.0f} completion tokens a second, "
                f"{operations / taken / rate:.0%} of the matrix rate",
                flush=True,
            )
    if device == "cuda":
        print(
            f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB; attention "
            f"{policy.model.config._attn_implementation} ({ATTENTION} is the one without the kernel)"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
