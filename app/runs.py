"""What there is to ask: the models of the runs, and those of the command line."""

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.files import is_file, read_text, within
from common.errors import UserError

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
STEP = re.compile(r"step_([0-9]{1,9})")
LARGEST_CONFIG = 1 << 20  # bytes
TINY = 256  # hidden units: a base no wider than this knows only what it was trained on here


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One thing to ask: a base model, or a checkpoint (a PEFT folder) on it."""

    label: str
    model: str
    adapter: str | None
    prompt: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of PromptTemplate
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    run: str | None = None
    stories_only: bool = False  # a tiny model that has seen synthetic stories and nothing else

    def base(self) -> "Choice":
        """The same without its adapter."""
        return dataclasses.replace(self, adapter=None)


@dataclasses.dataclass(frozen=True, slots=True)
class RunSummary:
    """A run found under the runs folder."""

    name: str
    folder: Path
    choices: tuple[Choice, ...]  # the base first, then the checkpoints by step


@dataclasses.dataclass(frozen=True)
class Library:
    """Where the page looks: the runs folder, and what the command line named besides."""

    runs: Path
    models: Sequence[str] = ()
    adapters: Sequence[str] = ()
    results: Sequence[Path] = ()

    def find_runs(self) -> list[RunSummary]:
        """The runs that can be read, newest first."""
        return self._scan()[0]

    def unreadable(self) -> dict[str, str]:
        """The folders that look like runs and cannot be read, with the reason."""
        return self._scan()[1]

    def choices(self) -> dict[str, Choice]:
        """Everything that can be asked, by label: the command line's, then the newest run's."""
        named = [Choice(model, model, None) for model in self.models]
        named += [Choice(one, self._base_of(one), one) for one in self.adapters]
        found = [choice for run in self.find_runs() for choice in run.choices]
        return {choice.label: choice for choice in [*named, *found]}

    def choose(self, labels: Sequence[str]) -> list[Choice]:
        """The choices of some labels; UserError unless there is one at least and all are there."""
        known = self.choices()
        if not labels:
            raise UserError("choose a model first")
        for label in labels:
            if label not in known:
                raise UserError(f"there is no model '{label[:80]}' here; reload the page")
        return [known[label] for label in labels]

    def run(self, name: str) -> RunSummary:
        """A run by name."""
        for run in self.find_runs():
            if run.name == name:
                return run
        raise UserError(f"there is no run '{name[:80]}' here; reload the page")

    def _base_of(self, adapter: str) -> str:
        """The base of an adapter of the command line: the only --model, or what it names itself."""
        if len(self.models) == 1:
            return self.models[0]
        try:
            named = json.loads((Path(adapter) / ADAPTER[0]).read_text())["base_model_name_or_path"]
        except (OSError, ValueError, KeyError, TypeError):
            named = None
        if not named:
            raise UserError(f"{adapter} does not say which base it belongs to: give one --model")
        return str(named)

    def _scan(self) -> tuple[list[RunSummary], dict[str, str]]:
        found: list[RunSummary] = []
        failed: dict[str, str] = {}
        if not self.runs.is_dir():
            return found, failed
        folders = [f for f in self.runs.iterdir() if f.is_dir() and within(f, self.runs)]
        for folder in sorted(folders, key=_changed_at, reverse=True):
            if not (folder / "config.toml").exists():
                continue
            try:
                found.append(_read_run(folder))
            except Exception as error:  # whatever is wrong with one run, the others are shown
                failed[folder.name] = _reason(error)
        return found, failed


def _changed_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _reason(error: Exception) -> str:
    if isinstance(error, tomllib.TOMLDecodeError):
        return "config.toml is not valid TOML"
    if isinstance(error, KeyError):
        return f"config.toml lacks {error.args[0]}"
    return str(error) if isinstance(error, UserError) else "config.toml holds an unusable value"


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a run; raises ValueError, UserError or RecursionError."""
    if not is_file(folder / "config.toml", folder):
        raise UserError("config.toml is no regular file of this folder")
    return tomllib.loads(read_text(folder / "config.toml", folder, LARGEST_CONFIG))


def _read_run(folder: Path) -> RunSummary:
    config = read_config(folder)
    sections = {name: keys for name, keys in config.items() if isinstance(keys, dict)}
    if "model" not in sections:
        raise KeyError("[model]")
    data, prompt = sections.get("data", {}), sections.get("prompt", {})
    sampling = sections.get("sampling") or sections.get("sampler") or {}
    model = _base(str(sections["model"]["path"]), folder)
    system = prompt.get("system")
    base = Choice(
        label=f"{folder.name}: base",
        model=model,
        adapter=None,
        prompt={
            "template": str(prompt.get("template", data.get("template", "auto"))),
            "system": system if isinstance(system, str) else None,
            "shots": int(prompt.get("shots", 0)),
            "chat_template_kwargs": _settings(prompt.get("chat_template_kwargs")),
        },
        max_tokens=min(max(1, int(sampling.get("max_tokens", 256))), 1 << 16),
        stop=_stop_strings(sampling.get("stop")),
        run=folder.name,
        stories_only=_stories_only(model, data.get("train")),
    )
    choices = [base]
    for checkpoint in sorted((folder / "checkpoints").glob("step_*")):
        step = STEP.fullmatch(checkpoint.name)
        if step and all(is_file(checkpoint / name, folder) for name in ADAPTER):
            label = f"{folder.name}: step {int(step[1])}"
            choices.append(dataclasses.replace(base, label=label, adapter=str(checkpoint)))
    return RunSummary(folder.name, folder, tuple(choices))


def _settings(given: Any) -> dict[str, Any]:
    """Settings of a chat template, whatever they are."""
    return {str(k): v for k, v in given.items()} if isinstance(given, dict) else {}


def _stop_strings(given: Any) -> tuple[str, ...]:
    """The strings that end a completion of a run."""
    return tuple(s for s in given if isinstance(s, str) and s) if isinstance(given, list) else ()


def _base(model: str, run: Path) -> str:
    """The base of a run: as it was named, or where the runs folder was moved, beside the run."""
    beside = run.parent / Path(model).name
    return str(beside) if not Path(model).is_dir() and beside.is_dir() else model


def _stories_only(model: str, train: Any) -> bool:
    """Whether a base is a tiny one made on the spot and its run saw synthetic problems only."""
    tables = train if isinstance(train, list) else [train]
    sources = [t.get("source") if isinstance(t, dict) else t for t in tables]
    if not all(str(s).startswith("synth:") for s in sources):
        return False
    try:
        return int(json.loads((Path(model) / "config.json").read_text())["hidden_size"]) <= TINY
    except (OSError, ValueError, KeyError, TypeError):
        return False
