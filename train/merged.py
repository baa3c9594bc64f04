"""An adapter and its base as one model: merged, described by a card, and uploaded."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM

from common.errors import UserError, first_line
from common.files import Contents, whole_folder, write_text
from eval.compare import compare
from eval.result import load_result
from models.loading import DTYPES, load_tokenizer
from train.build import prompt_template
from train.config import SftConfig, TrainConfig, load_config
from train.config.sections import Prompt
from train.records.card import model_card

CONTENTS = Contents(
    command="export",
    marks=("config.json", "README.md"),
    others=(
        *("generation_config.json", "model*.safetensors*", "chat_template*"),
        *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt"),
    ),
)


class Origin(NamedTuple):
    """Where an adapter comes from: the configuration it was trained with, and its results."""

    config: Any  # TrainConfig, SftConfig, or None where it is not known
    results: list[Any]  # before and after, for each problem set


def base_of(adapter: Path) -> str:
    """The base that an adapter says it was trained on; raises UserError where it says nothing."""
    for name, key in (("base.json", "base"), ("adapter_config.json", "base_model_name_or_path")):
        file = adapter / name
        if file.is_file() and (found := json.loads(file.read_text()).get(key)):
            return str(found)
    if not (adapter / "adapter_config.json").is_file():
        raise UserError(f"{adapter}: not an adapter folder (adapter_config.json expected)")
    raise UserError(f"{adapter}: it does not say which base it was trained on; name it by --base")


def origin_of(adapter: Path, results: list[str] | None = None) -> Origin:
    """The configuration beside an adapter, and its evaluations, or those that `results` names."""
    adapter = adapter.resolve()
    run: Path = adapter.parent.parent
    config: Any = None
    if (adapter / "sft.toml").is_file():
        config = load_config(SftConfig, adapter / "sft.toml")
    elif (run / "config.toml").is_file():
        config = load_config(TrainConfig, run / "config.toml")
    pairs = [(Path(results[0]), Path(results[1]))] if results else []
    if not results and isinstance(config, TrainConfig):
        after = sorted((run / "eval").glob(f"*/{adapter.name}"))
        pairs = [(folder.parent / "base", folder) for folder in after]
    found = [
        (load_result(a), load_result(b)) for a, b in pairs if results or (a.is_dir() and b.is_dir())
    ]
    for before, after_ in found:
        compare(before, after_)  # raises UserError for results that were asked differently
    return Origin(config, found)


def export(
    adapter: Path, base: str, out: Path, origin: Origin, *, dtype: str = "auto", name: str | None
) -> Path:
    """Write base + adapter, merged in float32 and saved in `dtype`, whole or not at all.

    `name`: what the card calls the model, by default `out`. Needs the base's memory in float32.
    """
    tokenizer = load_tokenizer(base)
    settings = origin.config.prompt if origin.config else Prompt()
    asked = prompt_template(tokenizer, settings).describe()
    try:
        kept = DTYPES.get(dtype) or AutoConfig.from_pretrained(base).dtype or DTYPES["float32"]
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=DTYPES["float32"])
        merged: Any = PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True)
    except Exception as error:  # transformers and peft raise many kinds
        raise UserError(f"{adapter}: cannot be merged into {base} ({first_line(error)})") from error
    card = model_card(
        origin.config, base, asked, name or str(out), origin.results, origin=adapter.name
    )
    with whole_folder(out, CONTENTS) as folder:
        merged.to(kept).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_text(folder / "README.md", card)
    return out


def create_repo(repo: str, *, private: bool = False) -> None:
    """Find or create a model repository of the hub; raises UserError where that is not allowed."""
    try:
        HfApi().create_repo(repo, private=private, exist_ok=True)
    except HFValidationError as error:
        raise UserError(f"--push {repo}: give a repository as OWNER/NAME") from error
    except Exception as error:  # no network, no token, no right to write
        raise UserError(
            f"--push {repo}: the hub does not let us write there ({first_line(error)}); "
            "log in with: hf auth login"
        ) from error


def push(folder: Path, repo: str) -> str:
    """Upload a folder as one commit; returns its address. Raises UserError if it fails."""
    try:
        HfApi().upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Model exported by mathgrpo"
        )
    except Exception as error:
        raise UserError(
            f"--push {repo}: the upload failed ({first_line(error)}); the model is in {folder}"
        ) from error
    return f"{HfApi().endpoint}/{repo}"
