"""What there is to compare: the base models and checkpoints of the runs in one folder."""

import dataclasses
import tomllib
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One thing to ask: a base model, or a checkpoint (a PEFT folder) on it."""

    label: str
    model: str
    adapter: str | None
    template: str = "auto"
    max_tokens: int = 256


@dataclasses.dataclass(frozen=True, slots=True)
class RunSummary:
    """A run found under the runs folder."""

    name: str
    folder: Path
    choices: tuple[Choice, ...]  # the base first, then the checkpoints by step
    eval_data: str | None


def find_runs(runs: Path) -> list[RunSummary]:
    """The runs directly under `runs`, newest first; folders that hold none, and links
    out of `runs`, are passed over."""
    if not runs.is_dir():
        return []
    inside = runs.resolve()
    folders = [f for f in runs.iterdir() if f.resolve().is_relative_to(inside)]
    found = [run for folder in folders if (run := _read_run(folder))]
    return sorted(found, key=lambda run: run.folder.stat().st_mtime, reverse=True)


def _read_run(folder: Path) -> RunSummary | None:
    try:
        config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
        model = _base(str(config["model"]["path"]), folder)
        template = str(config["data"].get("template", "auto"))
        max_tokens = int(config["sampler"]["max_tokens"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    choices = [Choice(f"{folder.name}: base", model, None, template, max_tokens)]
    for checkpoint in sorted((folder / "checkpoints").glob("step_*")):
        if (checkpoint / "adapter_model.safetensors").is_file():
            step = int(checkpoint.name.removeprefix("step_"))
            label = f"{folder.name}: step {step}"
            choices.append(Choice(label, model, str(checkpoint), template, max_tokens))
    data = config.get("eval", {}).get("data")
    return RunSummary(folder.name, folder, tuple(choices), data)


def _base(model: str, run: Path) -> str:
    """The base of a run: as it was named, or where the runs folder was moved, beside the run."""
    beside = run.parent / Path(model).name
    return str(beside) if not Path(model).is_dir() and beside.is_dir() else model
