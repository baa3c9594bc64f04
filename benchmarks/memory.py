"""`python benchmarks/memory.py`: memory of the training pass by vocabulary, and prompt sharing.

First: peak memory of one pass (forward and backward, 4,096 packed tokens, a 4-layer model of
width 128 with LoRA) beyond what the process held before it, for vocabularies of 8k, 32k and 152k;
ours, and TRL's GRPOTrainer (installed into `.venv-peers`). Each is measured in a process of its own.
Second: seconds of a pass with the prompt of a group computed once and computed N times.
Third (alone with the word `lengths`): the peak by length of the answers, one prompt of 256 tokens
with two completions of T tokens, with attention as it is and with the dense mask `[B, 1, T, Tp+T]`
of the first edition.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room


import ctypes
import gc
import resource
import subprocess
import tempfile
import time

import torch

from benchmarks.peers import use_peers

VOCABULARIES = (8_192, 32_768, 151_936)
LENGTHS = (1_024, 2_048, 4_096, 8_192, 16_384)
GROUPS, N, PROMPT, COMPLETION = 4, 8, 192, 104  # 4 × (192 + 8 × 104) = 4,096 tokens


def tiny_model(vocabulary: int, width: int = 128, context: int = 4096):
    """A Qwen2-shaped model with random weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width,
            num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=context, tie_word_embeddings=True,
        )
    )  # fmt: skip


def policy_on(model):
    """A policy with our attention and a LoRA adapter."""
    from models.packed import ATTENTION
    from train.config.sections import Lora
    from train.policy import Policy, add_lora

    model.set_attn_implementation(ATTENTION)
    return Policy(add_lora(model, Lora(rank=16), 0), 1.0)


def one_pass(policy, prompts: list[list[int]], completions: list[list[list[int]]]) -> None:
    """Log-probs of the completions, and a gradient."""
    from models.packed import PackedGroups

    logprobs, _ = policy.logprobs(PackedGroups(prompts, completions))
    logprobs.sum().backward()


def random_ids(rows: int, length: int, vocabulary: int) -> list[list[int]]:
    return torch.randint(0, vocabulary, (rows, length)).tolist()


def ours(vocabulary: int):
    """A pass of ours, ready to be run."""
    policy = policy_on(tiny_model(vocabulary))
    prompts = random_ids(GROUPS, PROMPT, vocabulary)
    completions = [random_ids(N, COMPLETION, vocabulary) for _ in prompts]
    return lambda: one_pass(policy, prompts, completions)


def answers_of(tokens: int):
    """A pass over two completions of `tokens` tokens to one prompt, ready to be run."""
    policy = policy_on(tiny_model(8_192, context=32_768))
    prompts, completions = random_ids(1, 256, 8_192), [random_ids(2, tokens, 8_192)]
    return lambda: one_pass(policy, prompts, completions)


def dense(tokens: int):
    """The same with the mask of the first edition."""
    import models.packed

    models.packed.LONGEST_MASK = 1 << 62
    return answers_of(tokens)


def trl_trainer(vocabulary: int, rows: int):
    """TRL's GRPOTrainer on a tiny model with LoRA."""
    import contextlib
    import warnings

    warnings.simplefilter("ignore")
    with contextlib.redirect_stderr(None):
        from datasets import Dataset
        from peft import LoraConfig
        from trl import GRPOConfig, GRPOTrainer

    from models.tiny import tiny_tokenizer
    from train.supervised import tiny_texts

    trainer = GRPOTrainer(
        model=tiny_model(vocabulary),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to=[],
            num_generations=8, per_device_train_batch_size=rows, gradient_checkpointing=False,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"prompt": "1+1"}] * rows),
        processing_class=tiny_tokenizer(tiny_texts()),
        peft_config=LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def trl(vocabulary: int):
    """A pass of TRL's on as many tokens: 16 rows of 152 + 104, each with a prompt of its own."""
    rows, prompt = 16, 4_096 // 16 - COMPLETION
    trainer = trl_trainer(vocabulary, rows)
    inputs = {
        "prompt_ids": torch.tensor(random_ids(rows, prompt, vocabulary)),
        "prompt_mask": torch.ones(rows, prompt, dtype=torch.long),
        "completion_ids": torch.tensor(random_ids(rows, COMPLETION, vocabulary)),
        "completion_mask": torch.ones(rows, COMPLETION, dtype=torch.long),
        "advantages": torch.randn(rows),
        "num_items_in_batch": torch.tensor(float(rows * COMPLETION)),
    }
    trainer.model.train()
    return lambda: trainer._compute_loss(trainer.model, inputs).backward()


def peak_of(run) -> float:
    """MiB by which the peak of this process rises during `run`."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def measured(kind: str, size: int) -> tuple[float, float] | None:
    """Peak and seconds of one kind, in a process of its own; None if it cannot run."""
    done = subprocess.run(
        [sys.executable, __file__, kind, str(size)], capture_output=True, text=True
    )
    words = done.stdout.split()
    return (float(words[-2]), float(words[-1])) if done.returncode == 0 and words else None


def by_length() -> None:
    """The peak of a pass by the length of the answers."""
    print(
        "| tokens | MiB | seconds | MiB, dense mask | seconds, dense mask |\n|---|---|---|---|---|"
    )
    for tokens in LENGTHS:
        cells = []
        for kind in ("answers", "dense"):
            found = measured(kind, tokens)
            cells += [f"{found[0]:,.0f}", f"{found[1]:.1f}"] if found else ["out of memory", "–"]
        print(f"| {tokens:,} | {' | '.join(cells)} |", flush=True)


def sharing(vocabulary: int, width: int) -> None:
    """Seconds of a pass with and without the shared prompt, prompt = 4 × completion, N = 16."""
    torch.manual_seed(0)
    policy = policy_on(tiny_model(vocabulary, width=width))
    for completion in (32, 64, 128):
        prompts = random_ids(1, 4 * completion, vocabulary)
        completions = [random_ids(16, completion, vocabulary)]
        alone = prompts * 16, [[member] for member in completions[0]]
        seconds = []
        for work in ((prompts, completions), alone):
            one_pass(policy, *work)
            begun = time.perf_counter()
            for _ in range(5):
                one_pass(policy, *work)
            seconds.append((time.perf_counter() - begun) / 5)
        print(
            f"width {width}, vocabulary {vocabulary}, prompt {4 * completion}, completion "
            f"{completion}, N 16: shared {seconds[0]:.3f} s, not shared {seconds[1]:.3f} s, "
            f"{seconds[1] / seconds[0]:.2f} times as fast",
            flush=True,
        )


def main() -> None:
    for kind in ("ours", "trl"):
        found = [measured(kind, vocabulary) for vocabulary in VOCABULARIES]
        peaks = [one[0] for one in found if one is not None]
        if len(peaks) < len(found):
            print(f"{kind}: cannot run here")
            continue
        listed = ", ".join(f"{v:,}: {p:,.0f} MiB" for v, p in zip(VOCABULARIES, peaks, strict=True))
        print(
            f"{kind:<5} peak of a pass by vocabulary: {listed}; grows {peaks[-1] / peaks[0]:.2f} times"
        )
    sharing(768, 128)  # the demo's model
    sharing(8_192, 256)
    by_length()


if __name__ == "__main__":
    use_peers("trl")
    if len(sys.argv) == 3:
        torch.manual_seed(0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        kinds = {"ours": ours, "trl": trl, "answers": answers_of, "dense": dense}
        run, begun = kinds[sys.argv[1]](int(sys.argv[2])), time.perf_counter()
        print(peak_of(run), time.perf_counter() - begun)
    elif sys.argv[1:] == ["lengths"]:
        by_length()
    else:
        main()
