"""Base models and adapters from disk or hub, with errors a user can act on."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from common.errors import UserError, first_line
from common.files import write_text
from models.lora import speed_up
from models.quantize import alike_in_inference, check_quantize, quantization
from models.selftest import choose_path

transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BASE_NOTE = "base.json"  # beside an adapter: which base it was trained on


def load_tokenizer(model: str | Path) -> Any:
    """The tokenizer of a model folder or hub name; raises UserError if it has none."""
    _check_folder(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and more
        raise UserError(f"{model}: no tokenizer can be loaded ({first_line(error)})") from error
    if not tokenizer.encode("1 2", add_special_tokens=False):  # made up from nothing
        raise UserError(f"{model}: no tokenizer can be loaded (tokenizer.json is missing)")
    if tokenizer.eos_token_id is None:
        raise UserError(f"{model}: the tokenizer has no end-of-sequence token")
    return tokenizer


def load_model(
    model: str | Path,
    *,
    dtype: str = "auto",
    device: str | None = None,
    quantize: str | None = None,
) -> Any:
    """A causal language model on `device`, with shared prompts where the self-test proves them.

    `dtype`: float32, bfloat16, float16, or auto (bfloat16 on CUDA, float32 elsewhere).
    `quantize`: nf4 keeps the layers in 4 bits a weight (models/quantize.py).
    Raises UserError when the folder holds no model, or one whose logits cannot be computed.
    """
    _check_folder(model)
    check_quantize(quantize)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = resolve_dtype(dtype, device)
    try:
        config = AutoConfig.from_pretrained(model)
        loaded = AutoModelForCausalLM.from_pretrained(
            model,
            config=config,
            dtype=DTYPES[dtype],
            **quantization(quantize, DTYPES[dtype], device),
        )
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and more
        raise UserError(f"{model}: no model can be loaded ({first_line(error)})") from error
    placed: Any = loaded
    # What is quantised is there already, and may not be moved.
    placed = placed.to(device) if quantize is None else alike_in_inference(placed)
    return choose_path(str(model), placed.eval())


def resolve_dtype(dtype: str, device: str | None = None) -> str:
    """The dtype that `auto` stands for, the same for trainer and sampler.

    float32 without a GPU, bfloat16 where the GPU computes in it (Ampere and later), else float16.
    """
    if dtype not in ("auto", *DTYPES):
        raise UserError(f"unknown dtype '{dtype}', expected auto, {', '.join(DTYPES)}")
    if dtype != "auto":
        return dtype
    cuda = torch.cuda.is_available() if device is None else device.startswith("cuda")
    if not cuda:
        return "float32"
    return "bfloat16" if torch.cuda.get_device_capability()[0] >= 8 else "float16"


def context_length(config: Any) -> int:
    """How many tokens prompt and completion may have together.

    Of a model with LongRoPE only the first part of its context: beyond it all angles are others,
    those of short texts too, so that a text's log-probs would hang on what it is batched with.
    """
    context = int(getattr(config, "max_position_embeddings", 0) or 1 << 20)
    rope = getattr(config, "rope_parameters", None) or {}
    if isinstance(rope, dict) and rope.get("rope_type") == "longrope":
        first = rope.get("original_max_position_embeddings")
        first = first or getattr(config, "original_max_position_embeddings", None)
        context = min(context, int(first or context))
    return context


def eos_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token id that ends a completion. `model`: a module, a model folder or a hub name."""
    known = getattr(model, "generation_config", None)
    if isinstance(model, str | Path):
        try:
            known = GenerationConfig.from_pretrained(model)
        except OSError:  # no such file: what the model's configuration says
            known = AutoConfig.from_pretrained(model)
    listed = getattr(known, "eos_token_id", None)
    ids = listed if isinstance(listed, list) else [] if listed is None else [listed]
    return sorted({*ids, tokenizer.eos_token_id})


def fingerprint(model: str | Path) -> str | None:
    """A hash that tells one base model folder from another, or None for a hub name.

    It covers the header and the first MiB of each weight file, so it is quick for large models.
    """
    folder = Path(model)
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with open(file, "rb") as opened:
            digest.update(opened.read(1 << 20))
        digest.update(str(file.stat().st_size).encode())
    return digest.hexdigest()[:16]


def write_base_note(adapter: Path, model: str | Path) -> None:
    """Write down beside an adapter which base it belongs to."""
    note = {"base": str(model), "fingerprint": fingerprint(model)}
    write_text(adapter / BASE_NOTE, json.dumps(note) + "\n")


def check_adapter(adapter: str | Path, model: str | Path) -> dict[str, Any]:
    """The adapter's configuration; raises UserError unless it is one, made for this base."""
    folder = Path(adapter)
    settings = folder / "adapter_config.json"
    if not settings.is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise UserError(
            f"{adapter}: not an adapter folder "
            "(adapter_config.json and adapter_model.safetensors expected)"
        )
    note = folder / BASE_NOTE
    if note.is_file():
        made_for = json.loads(note.read_text())
        here = fingerprint(model)
        if here and made_for["fingerprint"] and here != made_for["fingerprint"]:
            raise UserError(
                f"{adapter}: this adapter was made for another base ({made_for['base']}), "
                f"not for {model}"
            )
    return json.loads(settings.read_text())


def load_adapter(
    model: Any,
    adapter: str | Path,
    name_of_base: str,
    *,
    name: str = "default",
    train: bool = False,
) -> Any:
    """The model with the adapter on it, as a PeftModel; raises UserError where they do not fit.

    `model` is a base model, or a PeftModel that gets one adapter more, under `name`.
    """
    from peft import PeftModel

    check_adapter(adapter, name_of_base)
    try:
        if isinstance(model, PeftModel):
            model.load_adapter(str(adapter), name, is_trainable=train)
            return model
        return speed_up(PeftModel.from_pretrained(model, adapter, name, is_trainable=train))
    except Exception as error:  # peft raises RuntimeError, ValueError, KeyError
        raise UserError(
            f"{adapter}: this adapter does not fit {name_of_base}; it was made for another base "
            f"({first_line(error)})"
        ) from error


def _check_folder(model: str | Path) -> None:
    folder = Path(model)
    beside_folders = len(folder.parts) > 1 and Path(folder.parts[0]).is_dir()  # such as runs/base
    looks_like_path = folder.is_absolute() or str(model).startswith((".", "~")) or beside_folders
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"{model}: no model here (config.json is missing)")
    elif folder.exists() or looks_like_path or str(model).count("/") > 1:
        raise UserError(f"{model}: no such model folder")
