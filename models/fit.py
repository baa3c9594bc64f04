"""Whether an adapter can go on with a base, from what is written in their files' heads alone."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from common.errors import UserError, first_line
from models.loading import check_adapter

WHOLE_LAYERS = ("modules_to_save", "trainable_token_indices")  # trained beside the matrices


def refuse_unfit(adapter: str | Path, model: str | Path) -> None:
    """Raise UserError unless `adapter` is a LoRA whose every matrix has its place in the base.

    Nothing is loaded: the base's shapes follow from its configuration, the adapter's stand at the
    head of its file.
    """
    settings = check_adapter(adapter, model)
    if (kind := settings.get("peft_type")) != "LORA":
        raise UserError(f"{adapter}: an adapter of the kind {kind}; only LoRA is trained on")
    if whole := [key for key in WHOLE_LAYERS if settings.get(key)]:
        raise UserError(f"{adapter}: it holds whole layers ({whole[0]}), which is not supported")
    places = _shapes(model)
    for key, shape in _matrices(adapter).items():
        layer, _, part = key.removeprefix("base_model.model.").partition(".lora_")
        place = places.get(f"{layer}.weight")
        if place is None:
            raise UserError(f"{adapter}: it has weights for {layer}, which {model} lacks")
        width = shape[1] if part.startswith("A.") else shape[0]
        if part.startswith(("A.", "B.")) and width not in place:
            raise UserError(
                f"{adapter}: its weights for {layer} are {width} wide, those of {model} "
                f"{' × '.join(map(str, place))}; it was made for another base"
            )


def _matrices(adapter: str | Path) -> dict[str, list[int]]:
    file = Path(adapter) / "adapter_model.safetensors"
    try:
        with safe_open(file, "pt") as opened:
            names = opened.keys()
            return {name: opened.get_slice(name).get_shape() for name in names}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read ({first_line(error)})") from error


def _shapes(model: str | Path) -> dict[str, tuple[int, ...]]:
    try:
        config = AutoConfig.from_pretrained(model)
        with torch.device("meta"):
            empty: Any = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and more
        raise UserError(f"{model}: no model can be loaded ({first_line(error)})") from error
    return {name: tuple(weight.shape) for name, weight in empty.named_parameters()}
