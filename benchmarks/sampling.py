"""`python benchmarks/sampling.py BASE`: tokens a second of our backends and transformers.generate.

A tiny base model (a folder, as `make demo` leaves one in runs/), 16 prompts × 16 completions of at
most 64 tokens at temperature 1, counted up to the end of sequence; then how each grows with N and
with the length of the prompt. vLLM is left out where it is not installed.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room


import time
from collections.abc import Callable

import torch

from data import PromptTemplate, synthesize
from sampling import Sampler, load_sampler
from sampling.sampler import has_vllm

TOKENS = 64
CONTEXT = 1024  # of the tiny model


def generate(model, eos: int, prompts: list[list[int]], n: int, batch: int = 256) -> int:
    """transformers.generate with left padding, as TRL calls it; tokens written."""
    rows = [prompt for prompt in prompts for _ in range(n)]
    written = 0
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        longest = max(map(len, part))
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in part])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in part])
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                max_new_tokens=TOKENS, eos_token_id=eos, pad_token_id=eos,
            )[:, longest:]  # fmt: skip
        ended = (out == eos).cumsum(1) - (out == eos).long()
        written += int((ended == 0).sum())
    return written


def ours(sampler: Sampler, prompts: list[list[int]], n: int) -> int:
    """One of our backends; tokens written."""
    groups = sampler.sample(prompts, n, 1.0, TOKENS, seed=1)
    return sum(len(c.token_ids) for group in groups for c in group)


def rate(run: Callable[[], int]) -> float:
    """Tokens a second, after one run to warm up."""
    run()
    begun = time.perf_counter()
    tokens = run()
    return tokens / (time.perf_counter() - begun)


def main(base: str) -> None:
    from transformers import AutoModelForCausalLM

    embedded = load_sampler("torch", base)
    eos = embedded.tokenizer.eos_token_id
    plain = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    template = PromptTemplate(embedded.tokenizer)
    prompts = [template.encode(p.question) for p in synthesize(16, seed=0, split="heldout")]
    backends: dict[str, Callable[[list[list[int]], int], int]] = {
        "transformers": lambda p, n: generate(plain, eos, p, n),
        "torch": lambda p, n: ours(embedded, p, n),
    }
    engine = None
    if has_vllm():
        engine = load_sampler("vllm", base, max_model_len=CONTEXT, enforce_eager=True)
        backends["vllm"] = lambda p, n: ours(engine, p, n)
    first = {name: rate(lambda run=run: run(prompts, 16)) for name, run in backends.items()}
    for name, found in first.items():
        print(
            f"{name:<13} 16 × 16: {found:,.0f} tokens a second, "
            f"{found / first['transformers']:.2f} × transformers.generate",
            flush=True,
        )
    for n in (4, 16, 64):
        found = {name: rate(lambda run=run, n=n: run(prompts, n)) for name, run in backends.items()}
        print(f"N = {n:<4}", ", ".join(f"{k} {v:,.0f}" for k, v in found.items()), flush=True)
    for length in (32, 256, CONTEXT - TOKENS):
        padded = [(prompt * 40)[:length] for prompt in prompts]
        found = {name: rate(lambda run=run, p=padded: run(p, 16)) for name, run in backends.items()}
        print(
            f"prompt {length:<5}", ", ".join(f"{k} {v:,.0f}" for k, v in found.items()), flush=True
        )
    if engine is not None:
        engine.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
