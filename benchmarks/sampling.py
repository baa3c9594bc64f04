"""`python benchmarks/sampling.py MODEL [--n 8 --max-tokens 128 …]`: tokens a second of each sampler.

Our backends and transformers.generate beside each other: 16 prompts × 16 completions of at most 64
tokens at temperature 1 unless said otherwise, counted up to the end of sequence; the median of
`--repeat` runs taken in turn, after a short one to warm up. MODEL is a folder, as `make demo`
leaves one in runs/, or a name such as smollm2. `--grow` shows too how each grows with N and with
the length of the prompt. vLLM is left out where it is not installed.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable

import torch

from common.errors import OneLineParser, UserError, run_command
from data import PromptTemplate, load_problems
from models.fetch import MODELS, fetch
from models.loading import context_length, eos_ids, load_tokenizer
from sampling import Sampler, SamplingParams, load_sampler
from sampling.vllm_options import has_vllm

BACKENDS = ("transformers", "torch", "vllm")
WARM_UP = 8  # tokens
Prompts = list[list[int]]
Run = Callable[
    [Prompts, int, int], int
]  # prompts, completions each, tokens at most: tokens written


def generate(model, eos: list[int], prompts: Prompts, n: int, tokens: int, batch: int = 256) -> int:
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
                max_new_tokens=tokens, eos_token_id=eos, pad_token_id=eos[0],
            )[:, longest:]  # fmt: skip
        end = torch.isin(out, torch.tensor(eos)).long()
        written += int((end.cumsum(1) - end == 0).sum())
    return written


def ours(sampler: Sampler, prompts: Prompts, n: int, tokens: int) -> int:
    """One of our backends; tokens written."""
    groups = sampler.sample(prompts, n, SamplingParams(1.0, tokens, seed=1))
    return sum(len(c.token_ids) for group in groups for c in group)


def rates(runs: dict[str, Run], prompts: Prompts, n: int, tokens: int, repeat: int = 1):
    """Tokens a second of each, the median of some runs in turn."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeat):
        for name, run in runs.items():
            if not turn:
                run(prompts, n, WARM_UP)
            begun = time.perf_counter()
            written = run(prompts, n, tokens)
            found[name].append(written / (time.perf_counter() - begun))
            print(f"  {name}: {written:,} tokens, {found[name][-1]:,.0f} a second",
                  file=sys.stderr, flush=True)  # fmt: skip
    return {name: statistics.median(values) for name, values in found.items()}


def opened(model: str, names: list[str], room: int, stack: contextlib.ExitStack) -> dict[str, Run]:
    """The samplers by name, with `room` tokens of context; closed by `stack`."""
    runs: dict[str, Run] = {}
    if "transformers" in names:
        from transformers import AutoModelForCausalLM

        plain = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
        eos = eos_ids(plain, load_tokenizer(model))
        runs["transformers"] = lambda p, n, tokens: generate(plain, eos, p, n, tokens)
    for name in ("torch", "vllm"):
        if name not in names or (name == "vllm" and not has_vllm()):
            continue
        more = {"max_model_len": room, "enforce_eager": True} if name == "vllm" else {}
        one = stack.enter_context(load_sampler(name, model, dtype="float32", **more))
        runs[name] = lambda p, n, tokens, one=one: ours(one, p, n, tokens)
    return runs


def show(title: str, found: dict[str, float]) -> None:
    told = ", ".join(f"{name} {rate:,.0f}" for name, rate in found.items())
    print(f"{title:<14} {told}", flush=True)


def read_options(argv: list[str]) -> argparse.Namespace:
    parser = OneLineParser(prog="python benchmarks/sampling.py", description="Tokens a second.")
    parser.add_argument("model", help="a folder, a hub name or " + ", ".join(MODELS))
    parser.add_argument(
        "--data", default="synth:heldout,n=1000,seed=0", help="where prompts are from"
    )
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--n", type=int, default=16, help="completions a prompt")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--backends", default=",".join(BACKENDS), help="which, with commas")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each")
    parser.add_argument("--grow", action="store_true", help="by N and length of the prompt too")
    parser.add_argument("--json", help="a file for the ratios to transformers.generate")
    options = parser.parse_args(argv)
    options.backends = options.backends.split(",")
    if unknown := set(options.backends) - set(BACKENDS):
        parser.error(f"--backends: {', '.join(BACKENDS)}, not {', '.join(sorted(unknown))}")
    if options.model in MODELS:
        options.model = str(fetch(options.model))
    return options


def main(argv: list[str]) -> None:
    from transformers import AutoConfig

    options = read_options(argv)
    template = PromptTemplate(load_tokenizer(options.model))
    problems = load_problems(options.data, limit=options.prompts)
    prompts = [template.encode(problem) for problem in problems]
    n, tokens = options.n, options.max_tokens
    context = min(1024, context_length(AutoConfig.from_pretrained(options.model)))
    room = context if options.grow else max(map(len, prompts)) + tokens
    if room > context:
        raise UserError(f"prompts and {tokens} tokens do not fit into {context} tokens")
    with contextlib.ExitStack() as stack:
        runs = opened(options.model, options.backends, room, stack)
        first = rates(runs, prompts, n, tokens, options.repeat)
        peer = first.get("transformers")
        for name, rate in first.items():
            beside = f", {rate / peer:.2f} × transformers.generate" if peer else ""
            print(
                f"{name:<13} {len(prompts)} × {n} × {tokens}: {rate:,.0f} tokens a second{beside}"
            )
        sys.stdout.flush()
        if options.grow:
            for count in (4, 16, 64):
                show(f"N = {count}", rates(runs, prompts, count, tokens))
            for length in (32, 256, context - tokens):
                padded = [(prompt * (length // len(prompt) + 1))[:length] for prompt in prompts]
                show(f"prompt {length}", rates(runs, padded, n, tokens))
    if options.json:
        found = {f"sampling/{name}": rate / peer for name, rate in first.items()
                 if peer and name != "transformers"}  # fmt: skip
        Path(options.json).write_text(json.dumps(found))


if __name__ == "__main__":
    run_command(main)
