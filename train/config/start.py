"""The LoRA settings of a run that starts from an adapter: that adapter's own."""

import json
from pathlib import Path
from typing import Any

from train.config.sections import Lora

NAMES = {"rank": "r", "alpha": "lora_alpha", "target_modules": "target_modules"}


def lora_of(adapter: str, given: Lora | None) -> Lora | None:
    """The settings in an adapter's configuration; None where there is none to read.

    What `given` says itself must say the same; its dropout wins. Raises ValueError.
    """
    try:
        known = json.loads((Path(adapter) / "adapter_config.json").read_text())
        found = {name: known[key] for name, key in NAMES.items()}
    except (OSError, ValueError, KeyError, TypeError):  # what is amiss is said when it is opened
        return None
    said = given.model_fields_set if given else set()
    for name in (name for name in NAMES if name in said):
        if not _alike(asked := getattr(given, name), found[name]):
            raise ValueError(
                f"lora.{name} = {asked!r}, but the adapter {adapter} has {_short(found[name])}; "
                "leave [lora] out, its settings are the adapter's"
            )
    dropout = given.dropout if given and "dropout" in said else known.get("lora_dropout", 0.0)
    return Lora(**found, dropout=dropout)


def _alike(asked: Any, found: Any) -> bool:
    """Whether a setting says the same; a name for many layers is taken for whatever it meant."""
    if isinstance(asked, list) and isinstance(found, list):
        return set(asked) == set(found)
    return asked == found or (isinstance(asked, str) and isinstance(found, list))


def _short(value: Any) -> str:
    return ", ".join(sorted(value)) if isinstance(value, list) else repr(value)
