"""What there is to compare: the base models and checkpoints of the runs in one folder."""

import dataclasses
import tomllib
from pathlib import Path

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One thing to ask: a base model, or a checkpoint (a PEFT folder) on it."""

    label: str
    model: str
    adapter: str | None
    template: str = "auto"
    max_tokens: int = 256

    def base(self) -> "Choice":
        """The same without its adapter."""
        return dataclasses.replace(self, adapter=None)


@dataclasses.dataclass(frozen=True, slots=True)
class RunSummary:
    """A run found under the runs folder."""

    name: str
    folder: Path
    choices: tuple[Choice, ...]  # the base first, then the checkpoints by step
    eval_data: str | None


def within(path: Path, folder: Path) -> bool:
    """Whether `path` exists and, all links followed, lies in `folder`."""
    return path.exists() and path.resolve().is_relative_to(folder.resolve())


def find_runs(runs: Path) -> list[RunSummary]:
    """The runs directly under `runs`, newest first; folders that hold none, and links
    out of `runs`, are passed over."""
    if not runs.is_dir():
        return []
    folders = [f for f in runs.iterdir() if f.is_dir() and within(f / "config.toml", runs)]
    folders.sort(key=lambda f: f.stat().st_mtime, reverse=True)
    return [run for f in folders if within(f, runs) and (run := _read_run(f))]


def find_choices(runs: Path) -> dict[str, Choice]:
    """Everything that can be asked, by label, those of the newest run first."""
    return {choice.label: choice for run in find_runs(runs) for choice in run.choices}


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
        step = checkpoint.name.removeprefix("step_")
        if step.isdigit() and all(within(checkpoint / name, folder) for name in ADAPTER):
            label = f"{folder.name}: step {int(step)}"
            choices.append(Choice(label, model, str(checkpoint), template, max_tokens))
    data = config.get("eval", {}).get("data")
    return RunSummary(folder.name, folder, tuple(choices), data)


def _base(model: str, run: Path) -> str:
    """The base of a run: as it was named, or where the runs folder was moved, beside the run."""
    beside = run.parent / Path(model).name
    return str(beside) if not Path(model).is_dir() and beside.is_dir() else model
