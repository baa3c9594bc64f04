"""`--help` of the training commands: every setting with its default and one line."""

import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from train.registry import ALGORITHMS, algorithm_class


def print_settings(kind: type[BaseModel]) -> None:
    """Print all settings of a configuration, section by section, then each algorithm's own."""
    for name, field in kind.model_fields.items():
        if name == "algorithm":
            for algorithm in ALGORITHMS:
                settings = algorithm_class(algorithm).Settings
                _print_section(f'[algorithm]   with name = "{algorithm}"', settings)
            continue
        [section] = [x for x in _members(field.annotation) if _is_section(x)]
        _print_section(f"[{name}]", section)


def _print_section(title: str, section: type[BaseModel]) -> None:
    print(f"\n{title}")
    for key, default, description in _rows(section):
        print(f"  {key:<24} {default:<14} {description}")


def _rows(section: type[BaseModel], prefix: str = "") -> list[tuple[str, str, str]]:
    rows = []
    for key, field in section.model_fields.items():
        inner = [x for x in _members(field.annotation) if _is_section(x)]
        if inner and get_origin(field.annotation) is not list:
            rows += _rows(inner[0], f"{prefix}{key}.")
            continue
        rows.append((prefix + key, _default(field), _described(field)))
    return rows


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "required"
    return "none" if field.default is None else str(field.default)


def _described(field: Any) -> str:
    """The help of a setting, with what it may be where that is a choice."""
    choices = [
        str(choice)
        for member in _members(field.annotation)
        if get_origin(member) is Literal
        for choice in get_args(member)
    ]
    text = field.description or ""
    return f"{text} ({' | '.join(choices)})" if len(choices) > 1 else text


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
