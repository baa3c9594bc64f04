"""The configuration of a run: TOML in, checked, overridable from the command line, saved again."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from common.errors import UserError, nearest
from train.sections import (
    Critic,
    Data,
    Dpo,
    Evaluation,
    Grpo,
    Lora,
    Model,
    Optimizer,
    Reinforce,
    Rlhf,
    Run,
    Sampling,
    Section,
    SftData,
    SftModel,
    SftOptimizer,
    SftOutput,
    Trpo,
)

# The sections that only some algorithms read, by algorithm.
OWN_SECTIONS = {
    "reinforce": ("reinforce",),
    "a2c": ("critic",),
    "ppo": ("critic",),
    "ppo_penalty": ("critic",),
    "rlhf": ("critic", "rlhf"),
    "dpo": ("dpo",),
    "trpo": ("trpo",),
    "npg": ("trpo",),
}
NOT_SHARED = sorted({section for sections in OWN_SECTIONS.values() for section in sections})


class TrainConfig(Section):
    """`python -m train`: a run of one algorithm, GRPO unless told otherwise."""

    algorithm: str = "grpo"
    run: Run
    model: Model
    lora: Lora = Lora()
    data: Data
    sampler: Sampling = Sampling()
    grpo: Grpo = Grpo()
    reinforce: Reinforce = Reinforce()
    critic: Critic = Critic()
    rlhf: Rlhf = Rlhf()
    trpo: Trpo = Trpo()
    dpo: Dpo = Dpo()
    optimizer: Optimizer = Optimizer()
    eval: Evaluation = Evaluation()


class SftConfig(Section):
    """`python -m train.sft`: supervised fine-tuning on worked solutions."""

    run: SftOutput
    model: SftModel
    lora: Lora | None = None
    data: SftData
    optimizer: SftOptimizer = SftOptimizer()


Config = TypeVar("Config", TrainConfig, SftConfig)


def load_config(kind: type[Config], path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file, apply `--section.key value` overrides, check it.

    Raises UserError naming the key that is wrong and, for an unknown one, the nearest known.
    """
    file = Path(path)
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from error
    for key, value in _pairs(overrides):
        _set(raw, key, value)
    return check_config(kind, raw, where=str(path))


def check_config(kind: type[Config], raw: dict[str, Any], *, where: str) -> Config:
    """A configuration from plain values; raises UserError about the first thing wrong."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(kind, error)}") from error


def to_toml(config: BaseModel) -> str:
    """The resolved configuration as TOML; `None`s are left out, as TOML has none.

    So are the sections that the algorithm does not read.
    """
    lines: list[str] = []
    own = OWN_SECTIONS.get(getattr(config, "algorithm", ""), ())
    for name, section in config.model_dump(mode="json", exclude_none=True).items():
        if not isinstance(section, dict):
            lines += [f"{name} = {_toml_value(section)}", ""]
            continue
        if name in NOT_SHARED and name not in own:
            continue
        lines.append(f"[{name}]")
        lines += [f"{key} = {_toml_value(value)}" for key, value in section.items()]
        lines.append("")
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _pairs(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """`["--a.b", "1", "--c.d=x"]` as keys and values."""
    pairs: list[tuple[str, Any]] = []
    rest = list(overrides)
    while rest:
        word = rest.pop(0)
        key = word.partition("=")[0]
        if not word.startswith("--") or ("." not in key and key != "--algorithm"):
            raise UserError(f"unknown argument '{word}'; settings are given as --section.key value")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not rest:
                raise UserError(f"--{key} needs a value")
            value = rest.pop(0)
        pairs.append((key, _parse(value)))
    return pairs


def _parse(value: str) -> Any:
    """A command line value as TOML would read it, or as plain text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise UserError(f"--{key}: '{section}' is not a section")
    raw[last] = value


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = _known_keys(kind)
        here = ".".join(map(str, first["loc"][:-1]))
        last = str(first["loc"][-1])
        near = [key for key in known if key.rpartition(".")[0] == here]
        hint = nearest(last, [key.rpartition(".")[2] for key in near]) or nearest(where, known)
        return f"unknown key '{where}'{hint}"
    if first["type"] == "missing":
        return f"the key '{where}' is missing"
    return f"{where} = {first['input']!r}: {first['msg']}"


def _known_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        keys.append(prefix + name)
        types = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for inner in types:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                keys += _known_keys(inner, f"{prefix}{name}.")
    return keys
