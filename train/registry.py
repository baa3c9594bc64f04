"""The algorithms by name, one line each; loading them, or one of the user's own.

`algorithm.name` may also be one of the user's own: `package.module:Class` or
`path/to/file.py:Class`, a subclass of `Algorithm`.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from common.errors import UserError, first_line, nearest

ALGORITHMS = {
    "reinforce": "train.algorithms.reinforce:Reinforce",
    "rloo": "train.algorithms.rloo:Rloo",
    "a2c": "train.algorithms.a2c:ActorCritic",
    "ppo": "train.algorithms.ppo:Ppo",
    "ppo_penalty": "train.algorithms.ppo_penalty:PpoPenalty",
    "grpo": "train.algorithms.grpo:Grpo",
    "rlhf": "train.algorithms.rlhf:Rlhf",
    "dpo": "train.algorithms.dpo:Dpo",
    "trpo": "train.algorithms.trpo:Trpo",
    "npg": "train.algorithms.npg:Npg",
}


def algorithm_class(name: str) -> Any:
    """The algorithm of that name; raises UserError if there is none."""
    if ":" not in name and name not in ALGORITHMS:
        raise UserError(f"unknown algorithm '{name}'{nearest(name, ALGORITHMS)}")
    return load_object(ALGORITHMS.get(name, name))


def load_object(path: str) -> Any:
    """What `package.module:name` or `path/to/file.py:name` names; raises UserError if nothing."""
    where, _, name = path.rpartition(":")
    try:
        if where.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(where).stem, where)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
        return getattr(module, name)
    except Exception as error:  # whatever the user's file raises
        raise UserError(f"{path}: cannot be loaded ({first_line(error)})") from error
