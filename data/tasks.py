"""Tasks that bring their own verifier: `reasoning_gym:TASK[,n=…][,seed=…][,split=…][,KEY=VALUE…]`.

The package reasoning-gym (Stojanovski et al., arXiv 2505.24760) makes questions by rule and scores
answers by code, as one question may have many right answers. The item of its data set at place i
follows from its seed + i, so that two seeds less than n apart share items; ours are kept a million
apart, and those of `split=heldout` between those of `split=train`.
"""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

from common.errors import UserError, first_line, nearest
from data.problem import Problem

PREFIX = "reasoning_gym:"
SPLITS = ("train", "heldout")
APART = 1_000_000  # items between two seeds; the greatest n
SEEDS = 1_000  # numpy, which some tasks use, takes seeds below 2³²


def is_task(source: str) -> bool:
    """Whether a source names a task that brings its own verifier."""
    return source.startswith(PREFIX)


def load_task(source: str) -> list[Problem]:
    """The problems of a task; raises UserError for a missing package, unknown task or wrong key.

    The gold is the task's own answer, one of perhaps many; `solution` is that answer, marked.
    """
    made, name = _open(source), source.partition(",")[0].removeprefix(PREFIX)
    problems = []
    for index in range(len(made)):
        entry = made[index]
        answer = str(entry["answer"])
        problems.append(
            Problem(
                id=f"{name}-{made.config.seed + index}",
                question=str(entry["question"]).strip(),
                answer=answer,
                solution=f"#### {answer}",
                source=f"{PREFIX}{name}",
                task=(source, index),
            )
        )
    return problems


def score_answer(answer: str, task: tuple[str, int]) -> float:
    """What the task itself says of an answer to one of its questions: 1.0 is right."""
    source, index = task
    made = _open(source)
    return float(made.score_answer(answer, made[index]))


@functools.lru_cache(maxsize=32)
def _open(source: str) -> Any:
    gym = _package(source)
    name, *words = source.removeprefix(PREFIX).split(",")
    known = gym.factory.DATASETS
    if name not in known:
        raise UserError(f"{source}: reasoning-gym has no task '{name}'{nearest(name, known)}")
    kind = known[name][1]
    keys = {"n": None, "split": None, **kind.__dataclass_fields__}
    del keys["size"]  # n here
    settings: dict[str, Any] = {"n": 1000, "seed": 0, "split": "train"}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in keys:
            raise UserError(f"{source}: {name} has no key '{key}'{nearest(key, keys)}")
        settings[key] = _value(value)
    n, split = settings.pop("n"), settings.pop("split")
    settings["seed"] = _seed(source, settings["seed"], split)
    if not isinstance(n, int) or not 1 <= n <= APART:
        raise UserError(f"{source}: n must be a whole number from 1 to {APART:,}")
    try:
        return gym.create_dataset(name, size=n, **settings)
    except Exception as error:  # its own checks are assertions
        raise UserError(f"{source}: {name} refuses this ({first_line(error)})") from error


def _package(source: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries it brings
            import reasoning_gym
    except ImportError as error:
        raise UserError(
            f"{source}: the package reasoning-gym is not installed; pip install 'mathgrpo[tasks]'"
        ) from error
    return reasoning_gym


def _seed(source: str, seed: Any, split: Any) -> int:
    if split not in SPLITS:
        raise UserError(f"{source}: split is train or heldout, not '{split}'")
    if not isinstance(seed, int) or not 0 <= seed < SEEDS:
        raise UserError(f"{source}: seed must be a whole number from 0 to {SEEDS - 1}")
    return (2 * seed + SPLITS.index(split)) * APART


def _value(text: str) -> Any:
    """A value as one writes it in TOML; anything else is a text."""
    import tomllib

    values: Mapping[str, Any]
    try:
        values = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return values["value"]
