"""The shapes in the annotations, checked at each call: `jaxtyping`'s names bind across arguments.

Only arrays are looked at. What else an annotation says is mypy's.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from jaxtyping import AbstractArray, install_import_hook

ROOMS = ["models", "sampling", "train"]


def check_rooms() -> None:
    """Check the shapes in all functions of the rooms that are imported from now on."""
    install_import_hook(ROOMS, "tests.shapes.check_arrays")


def check_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, checked: raises TypeError where an array is not of the shape it promises."""
    signature = inspect.signature(function)
    wanted = {p.name: p.annotation for p in signature.parameters.values() if arrays(p.annotation)}
    returned = signature.return_annotation
    if not wanted and not arrays(returned):
        return function

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        given = signature.bind(*args, **options).arguments
        for name, annotation in wanted.items():
            if name in given:
                check(given[name], annotation, f"{function.__qualname__}: {name}")
        result = function(*args, **options)
        if arrays(returned):
            check(result, returned, f"{function.__qualname__} returns")
        return result

    return checked


def arrays(annotation: Any) -> list[Any]:
    """The array types that an annotation allows: itself, or members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [one for part in typing.get_args(annotation) for one in arrays(part)]
    return []


def check(value: Any, annotation: Any, where: str) -> None:
    """Raises TypeError unless the value is one of the arrays, or no array at all."""
    if hasattr(value, "shape") and not any(isinstance(value, one) for one in arrays(annotation)):
        raise TypeError(f"{where} is {value.dtype} {tuple(value.shape)}, not {annotation}")
