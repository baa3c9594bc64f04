"""A configuration from TOML and the command line, checked, and written again."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ValidationError

from common.errors import UserError, nearest
from train.config.bundled import find_config
from train.config.renamed import SECTIONS, new_place
from train.config.schema import SftConfig, TrainConfig
from train.registry import algorithm_class

Config = TypeVar("Config", TrainConfig, SftConfig)


def load_config(kind: type[Config], path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file, or a bundled one by its name; apply `--section.key value`; check it.

    Raises UserError naming the key that is wrong and, for an unknown one, the nearest known.
    """
    file = find_config(path)
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8-sig"))
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
    _refuse_old_keys(raw, where)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(kind, raw, error)}") from error


def to_toml(config: BaseModel) -> str:
    """The resolved configuration as TOML; `None`s are left out, as TOML has none."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))


def _refuse_old_keys(raw: dict[str, Any], where: str) -> None:
    """Name the new place of a key that moved since the first edition."""
    if isinstance(name := raw.get("algorithm"), str):
        raise UserError(f'{where}: algorithm is a section now: algorithm.name = "{name}"')
    for section, values in raw.items():
        for key in values if isinstance(values, dict) else ():
            if place := new_place(section, key):
                raise UserError(f"{where}: {section}.{key} is {place} now")
        if section in SECTIONS:
            raise UserError(f"{where}: the section {section} is {SECTIONS[section]} now")


def _pairs(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """`["--a.b", "1", "--c.d=x"]` as keys and values."""
    pairs: list[tuple[str, Any]] = []
    rest = list(overrides)
    while rest:
        word = rest.pop(0)
        name = word.partition("=")[0]
        if name == "--algorithm":
            raise UserError("--algorithm is --algorithm.name now")
        if not word.startswith("--") or "." not in name:
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


def _explain(kind: type[BaseModel], raw: dict[str, Any], error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return _unknown_key(kind, raw, first["loc"])
    if first["type"] == "missing":
        return f"the key '{where}' is missing"
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{where}: {said}" if where else said
    return f"{where} = {first['input']!r}: {said}"


def _unknown_key(
    kind: type[BaseModel], raw: dict[str, Any], location: tuple[str | int, ...]
) -> str:
    where, last = ".".join(map(str, location)), str(location[-1])
    here, known, of = where.rpartition(".")[0], known_keys(kind), ""
    if here.startswith("algorithm"):
        name = raw.get("algorithm", {}).get("name", "grpo")
        known, of = known_keys(algorithm_class(name).Settings, "algorithm."), f" of {name}"
    near = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == here]
    return f"unknown key '{where}'{of}{nearest(last, near) or nearest(where, known)}"


def known_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """All keys of a configuration, `section.key`, but those of the algorithms."""
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        keys.append(prefix + name)
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                keys += known_keys(inner, f"{prefix}{name}.")
    return keys
