"""Model cards: what an adapter or a merged model is, how it came about, and how it is used."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from data.prompts import PLAIN
from eval.compare import compare
from eval.intervals import Estimate
from eval.result import Result

USE = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer
{imports}
tokenizer = AutoTokenizer.from_pretrained("{tokenizer}")
model = AutoModelForCausalLM.from_pretrained("{model}")
{adapter}question = "A box holds 12 pencils. How many pencils do 5 boxes hold?"
{prompt}
out = model.generate(**inputs, max_new_tokens={max_tokens}, do_sample=False)
print(tokenizer.decode(out[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
```"""


def is_hub_name(model: str) -> bool:
    """Whether a base is named as on the hub, and no folder of this machine."""
    return not Path(model).exists() and model.count("/") == 1 and not model.startswith((".", "/"))


def adapter_card(config: Any, asked: dict[str, Any], step: int | None = None) -> str:
    """The card of a LoRA by `train` (after `step`) or, without, by `sft`.

    `asked`: how questions are asked, as a prompt template describes itself.
    """
    base = str(config.model.path)
    tags = [f"base_model:adapter:{base}", "lora", "mathgrpo", _method(config), "math"]
    head = {"base_model": base, "library_name": "peft", "pipeline_tag": "text-generation"}
    after = "" if step is None else f" after step {step} of {config.run.steps}"
    title = f"# A LoRA adapter for {base}\n\nTrained with mathgrpo by {_words(config)}{after}."
    use = _use(base, asked, config, adapter="ADAPTER")
    return "\n\n".join([_head(head, tags), title, "## Use", use, *_made(config)]) + "\n"


def model_card(
    config: Any,
    base: str,
    asked: dict[str, Any],
    name: str,
    results: Sequence[tuple[Result, Result]],
    *,
    origin: str,
) -> str:
    """The card of a merged model. `results`: before and after, one pair a problem set.

    `config` may be None for an adapter of unknown making; `name`: what the model is called.
    """
    tags = ["mathgrpo", "math", *([_method(config)] if config else [])]
    head = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if is_hub_name(base):  # the hub refuses others
        head |= {"base_model": base, "base_model_relation": "finetune"}
    made = f" by {_words(config)}" if config else ""
    title = (
        f"# {name.rpartition('/')[2]}\n\n`{base}` with a LoRA adapter trained{made} with mathgrpo "
        f"({origin}), merged into its weights."
    )
    parts = [_head(head, tags), title, "## Use", _use(name, asked, config)]
    for pair in results:
        parts += _before_after(*pair)
    return "\n\n".join([*parts, *(_made(config) if config else [])]) + "\n"


def _method(config: Any) -> str:
    """The algorithm in one word."""
    return config.algorithm.name.rpartition(":")[2].lower() if _is_rl(config) else "sft"


def _words(config: Any) -> str:
    if _is_rl(config):
        return f"reinforcement learning with verifiable rewards ({_method(config).upper()})"
    return "supervised fine-tuning on worked solutions"


def _is_rl(config: Any) -> bool:
    return hasattr(config, "algorithm")


def _head(fields: dict[str, str], tags: list[str]) -> str:
    """The metadata as the hub reads it: YAML, of which JSON's strings and lists are a part."""
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, f"tags: {json.dumps(tags)}", "---"])


def _use(model: str, asked: dict[str, Any], config: Any, *, adapter: str = "") -> str:
    """Code that asks a question as training did."""
    if asked["template"] == "plain":
        text = PLAIN.format(question="{question}").replace("\n", "\\n")
        prompt = f'inputs = tokenizer(f"{text}", return_tensors="pt")'
    else:
        prompt = _chat(asked)
    sampling = getattr(config, "sampling", None)
    return USE.format(
        imports="from peft import PeftModel\n" if adapter else "",
        tokenizer=model,
        model=model,
        adapter=f'model = PeftModel.from_pretrained(model, "{adapter}")\n' if adapter else "",
        prompt=prompt,
        max_tokens=sampling.max_tokens if sampling else 256,
    )


def _chat(asked: dict[str, Any]) -> str:
    user = '{"role": "user", "content": question}'
    system = json.dumps({"role": "system", "content": asked["system"]}) + ", "
    kwargs = "".join(f", {key}={value!r}" for key, value in asked["chat_template_kwargs"].items())
    return (
        f"messages = [{system if asked['system'] else ''}{user}]\n"
        "inputs = tokenizer.apply_chat_template(\n"
        "    messages, add_generation_prompt=True, return_dict=True, "
        f'return_tensors="pt"{kwargs}\n)'
    )


def _before_after(before: Result, after: Result) -> list[str]:
    """Both results with their 95% intervals, and their paired difference."""
    (first, _), (second, _) = before, after
    rows = ["| | before | after |", "|---|---|---|"]
    for k, value in first["pass_at_k"].items():
        cells = [str(Estimate(**x)) for x in (value, second["pass_at_k"][k])]
        rows.append(f"| pass@{k} | {' | '.join(cells)} |")
    counted = f"{first['n_problems']} problems × {first['n_samples']} completions"
    differences = [f"- {line.strip()}" for line in compare(before, after).lines()]
    return [
        f"## Before and after, on {first['data']}",
        f"{counted}; means with 95% intervals over the problems.",
        "\n".join(rows),
        "Paired difference, after − before:",
        "\n".join(differences),
    ]


def _made(config: Any) -> list[str]:
    """The data and every setting of the training."""
    settings = config.model_dump(
        mode="json", exclude_none=True, exclude={"run": {"dir", "out", "trackers"}}
    )
    sources = "\n".join(f"- {s.source} (weight {s.weight:g})" for s in config.data.sources())
    return [f"## Data\n\n{sources}", f"## Settings\n\n```toml\n{tomli_w.dumps(settings)}```"]
