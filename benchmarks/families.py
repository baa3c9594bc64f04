"""`python benchmarks/families.py [docs/sampling.md] [--smollm2 FOLDER]`: is each family right?

Small random models of the families in tests/families.py and SmolLM2, each with a LoRA adapter and a
generation configuration that asks for penalties. The log-probs that trainer and samplers say, of
tokens that the sampler drew, and greedy completions, against transformers and PEFT alone, with the
adapter on and off. vLLM and a vLLM server are asked for VLLM's families. Prints a table, and puts it
into the page between its markers.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import argparse
import json
import os
import platform
import subprocess
import tempfile
from importlib.metadata import version

MARKS = "<!-- families: python benchmarks/families.py docs/sampling.md -->", "<!-- /families -->"
VLLM = "llama qwen3 granite gemma2 mistral smollm2".split()
BACKENDS = ("torch", "vllm", "vllm-server")
SIZES = {"hidden_size": 128, "intermediate_size": 128, "head_dim": 32, "num_attention_heads": 4,
         "max_position_embeddings": 512}  # fmt: skip
PROMPTS, N, TOKENS = 4, 3, 24
PENALTIES = {"repetition_penalty": 1.3, "temperature": 0.6, "top_k": 20, "top_p": 0.8}


def make(kind: str, folder: Path, given: str | None) -> None:
    """The model of a family and an adapter on it, in `folder`/base and `folder`/adapter."""
    import torch
    from transformers import AutoModelForCausalLM

    from data import synthesize
    from models.tiny import save_base, tiny_tokenizer
    from tests.families import small
    from tests.test_sampling import penalising, shake
    from train.config.sections import Lora
    from train.policy import add_lora

    if given is not None:
        penalising(Path(given), folder / "base")
    else:
        tokenizer = tiny_tokenizer([p.question for p in synthesize(200, seed=0)], 400)
        sizes = {**SIZES, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
        save_base(folder / "own", small(kind, **sizes), tokenizer)
        penalising(folder / "own", folder / "base")
    torch.manual_seed(0)
    lora = add_lora(AutoModelForCausalLM.from_pretrained(folder / "base"), Lora(rank=8), 0)
    shake(lora, 1)
    lora.save_pretrained(folder / "adapter")


class Reference:
    """transformers and PEFT, one sequence at a time."""

    def __init__(self, folder: Path):
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        base = AutoModelForCausalLM.from_pretrained(
            folder / "base", dtype="float32", attn_implementation="eager"
        )
        self.model = PeftModel.from_pretrained(base, folder / "adapter").eval()

    def logprobs(self, prompt: list[int], tokens: list[int]):
        import torch

        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([prompt + tokens[:-1]]), use_cache=False)
            logits = logits.logits[0, len(prompt) - 1 :].float().log_softmax(-1)
            return logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]

    def greedy(self, prompt: list[int], ends: list[int]) -> list[int]:
        """What `generate` writes, asked for no penalties."""
        import torch
        from transformers import GenerationConfig

        asked = GenerationConfig(
            do_sample=False, max_new_tokens=TOKENS, eos_token_id=ends, pad_token_id=ends[0]
        )
        self.model.get_base_model().generation_config = asked
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=asked
            )
        return out[0, len(prompt) :].tolist()


def questions(tokenizer) -> list[list[int]]:
    from data import PromptTemplate, synthesize

    template = PromptTemplate(tokenizer)
    return [template.encode(p) for p in synthesize(PROMPTS, seed=4, split="heldout")]


def measure(backend: str, folder: Path) -> dict:
    """The largest gaps to transformers, and how many greedy completions are the same."""
    import contextlib

    import torch

    from models.loading import eos_ids, load_adapter, load_model
    from models.packed import PackedGroups
    from models.plain import shares_prompts
    from sampling import SamplingParams, load_sampler
    from train.policy import Policy

    options = {"dtype": "float32"}
    if backend != "torch":
        options |= {"max_lora_rank": 8, "max_model_len": 400, "enforce_eager": True}
        options |= {"log": folder / f"{backend}.log"}
    base = str(folder / "base")
    found = {"gap": 0.0, "trainer": 0.0, "same": 0, "asked": 0}
    with load_sampler(backend, base, **options) as sampler:
        reference = Reference(folder)
        prompts = questions(sampler.tokenizer)
        ends = eos_ids(base, sampler.tokenizer)
        for adapter in (None, str(folder / "adapter")):
            sampler.update_adapter(adapter)
            groups = sampler.sample(prompts, N, SamplingParams(1.0, TOKENS, seed=1))
            greedy = sampler.sample(prompts, 1, SamplingParams(0.0, TOKENS))
            with contextlib.nullcontext() if adapter else reference.model.disable_adapter():
                wanted = torch.cat(
                    [
                        reference.logprobs(p, c.token_ids)
                        for p, g in zip(prompts, groups, strict=True)
                        for c in g
                    ]
                )
                mine = [reference.greedy(p, ends) for p in prompts]
            said = torch.tensor([x for g in groups for c in g for x in c.logprobs])
            found["gap"] = max(found["gap"], float((said - wanted).abs().max()))
            found["same"] += sum(g[0].token_ids == m for g, m in zip(greedy, mine, strict=True))
            found["asked"] += PROMPTS
            if backend == "torch" and adapter:
                model = load_adapter(load_model(base, dtype="float32"), adapter, base)
                layout = PackedGroups(prompts, [[c.token_ids for c in g] for g in groups])
                with torch.inference_mode():
                    ours, _ = Policy(model.eval(), 1.0).logprobs(layout)
                found["trainer"] = float((ours[layout.mask] - wanted).abs().max())
                found["path"] = "packed" if shares_prompts(model) else "plain"
    return found


def one(backend: str, folder: Path) -> dict:
    """`measure` in a process of its own; what is wrong, where it cannot."""
    words = [sys.executable, __file__, "--one", backend, str(folder)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=900)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing said"]
        (folder / f"{backend}.stderr").write_text(done.stderr)
        return {"refused": lines[-1].split("Error: ")[-1].replace(str(folder / "base"), "MODEL")}
    return json.loads(done.stdout.splitlines()[-1])


def row(kind: str, found: dict[str, dict]) -> str:
    """One line of the table."""
    torch_one = found["torch"]
    if "refused" in torch_one:
        return f"| {kind} | refused | {torch_one['refused'][:200]} | | | | |"
    cells = [kind, torch_one["path"], f"{torch_one['trainer']:.0e}"]
    for backend in BACKENDS:
        one = found.get(backend)
        if one is None:
            cells.append("not asked")
        elif "refused" in one:
            cells.append(f"refused: {one['refused'][:120]}")
        elif backend == "torch":
            cells += [f"{one['gap']:.0e}", f"{one['same']} of {one['asked']}"]
        else:
            cells.append(f"{one['gap']:.0e}, {one['same']} of {one['asked']}")
    return "| " + " | ".join(cells) + " |"


HEAD = """| family | path | trainer | torch | torch, greedy | vllm | vllm-server |
|---|---|---|---|---|---|---|"""


def main(argv: list[str]) -> None:
    from common.errors import UserError
    from models.fetch import fetch
    from tests.families import FAMILIES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", help="the page that holds the table")
    parser.add_argument(
        "--families", nargs="*", help="these alone; their rows of the page are made anew"
    )
    options = parser.parse_args(argv)
    rows: dict[str, str] = {}
    for kind in options.families or [*FAMILIES, "smollm2"]:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            try:
                make(kind, folder, str(fetch("smollm2")) if kind == "smollm2" else None)
                asked = BACKENDS if kind in VLLM else BACKENDS[:1]
                rows[kind] = row(kind, {backend: one(backend, folder) for backend in asked})
            except UserError as error:  # PEFT has no adapter for it, or there is no such model
                rows[kind] = row(kind, {"torch": {"refused": str(error)}})
        print(rows[kind], flush=True)
        if options.page:
            write(Path(options.page), rows)


def write(page: Path, rows: dict[str, str]) -> None:
    """Put rows into the table of the page, in place of those of the same families."""
    before, rest = page.read_text().split(MARKS[0])
    table, after = rest.split(MARKS[1])
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    merged = {line.split("|")[1].strip(): line for line in lines} | rows
    made = f"transformers {version('transformers')}, {platform.machine()}, float32, {TOKENS} tokens"
    text = "\n".join([MARKS[0], HEAD, *merged.values(), "", f"Made with {made}.", MARKS[1]])
    page.write_text(before + text + after)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(sys.argv[1:])
