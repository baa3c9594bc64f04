"""`python benchmarks/greedy_agreement.py BASE ADAPTER`: does a checkpoint answer alike everywhere?

32 held-out problems, greedily, in plain `peft.PeftModel`, in vLLM as a `LoRARequest`, and by the
trainer's own sampler. Prints how many completions are token for token the same.
"""

import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

PROBLEMS, TOKENS = 32, 96


def plain_peft(base: str, adapter: str, prompts: list[list[int]]) -> list[list[int]]:
    """Greedy completions of transformers' own generate."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    rows = [torch.tensor([prompt]) for prompt in prompts]
    out = [model.generate(input_ids=r, max_new_tokens=TOKENS, do_sample=False) for r in rows]
    return [o[0, r.shape[1] :].tolist() for o, r in zip(out, rows, strict=True)]


def plain_vllm(base: str, adapter: str, prompts: list[list[int]]) -> list[list[int]]:
    """Greedy completions of vLLM's own engine."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    engine = LLM(base, dtype="float32", enable_lora=True, max_lora_rank=64, max_model_len=512,
                 enforce_eager=True)  # fmt: skip
    outputs = engine.generate(
        [{"prompt_token_ids": prompt} for prompt in prompts],
        SamplingParams(temperature=0, max_tokens=TOKENS),
        lora_request=LoRARequest("checkpoint", 1, adapter),
    )
    return [list(output.outputs[0].token_ids) for output in outputs]


def ours(base: str, adapter: str, prompts: list[list[int]]) -> list[list[int]]:
    """Greedy completions of the embedded sampler."""
    from sampling import SamplingParams, load_sampler

    sampler = load_sampler("torch", base)
    sampler.update_adapter(adapter)
    return [group[0].token_ids for group in sampler.sample(prompts, 1, SamplingParams(0.0, TOKENS))]


def main(base: str, adapter: str) -> None:
    from data import PromptTemplate, load_problems
    from models.loading import load_tokenizer

    template = PromptTemplate(load_tokenizer(base))
    problems = load_problems(f"synth:heldout,n={PROBLEMS}")
    prompts = [template.encode(problem.question) for problem in problems]
    mine = ours(base, adapter, prompts)
    for name, sampled in (("peft", plain_peft), ("vLLM", plain_vllm)):
        theirs = sampled(base, adapter, prompts)
        same = sum(a == b for a, b in zip(mine, theirs, strict=True))
        print(f"{name}: {same} of {PROBLEMS} greedy completions are ours, token for token")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
