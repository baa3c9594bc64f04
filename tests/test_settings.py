"""Every setting of every algorithm is read, or refused in one line."""

import re

import pytest
import torch
from pydantic import BaseModel

from common.errors import UserError
from tests.conftest import config_of
from tests.toys import toy_learner, toy_rollout, toy_step
from train.config import TrainConfig
from train.config.help import print_settings
from train.config.schema import SftConfig
from train.registry import ALGORITHMS, algorithm_class

pytestmark = pytest.mark.usefixtures("own_networks_are_toys")

REFUSED = [
    ("ppo_penalty", {}, {}, "several steps a rollout"),
    ("grpo", {"top_p": 0.9}, {"beta": 0.1}, "cannot be used with a KL"),
    ("dpo", {"top_k": 5}, {}, "cannot be used with a KL"),
    ("trpo", {"min_p": 0.1}, {}, "cannot be used with a KL"),
    ("ppo", {"top_p": 0.9}, {"beta": 0.1}, "cannot be used with a KL"),
    ("grpo", {}, {"supervision": "process", "scale": "none"}, "algorithm.scale has no meaning"),
    ("grpo", {}, {"supervision": "process", "baseline": "leave_one_out"}, "algorithm.baseline has"),
    ("grpo", {}, {"loss": "sapo", "epsilon": 0.1}, "algorithm.epsilon has no meaning"),
    ("grpo", {}, {"loss": "gppo"}, "did you mean"),
    ("grpo", {}, {"loss": "no.such:function"}, "cannot be loaded"),
    ("grpo", {}, {"kl": "k1"}, "algorithm.kl has no meaning"),
    ("grpo", {}, {"correction": "none", "correction_cap": 3.0}, "correction_cap has no meaning"),
    (
        "grpo",
        {},
        {"correction": "token", "correction_floor": 3.0},
        "below algorithm.correction_cap",
    ),
    ("reinforce", {}, {"baseline": "none", "momentum": 0.5}, "algorithm.momentum has no meaning"),
    ("a2c", {}, {"critic": {"kind": "separate", "through": True}}, "through has no meaning"),
    ("npg", {}, {"backtracks": 3}, "unknown key"),
    ("dpo", {}, {"mask_truncated": True}, "unknown key"),
]


@pytest.mark.parametrize(("name", "sampling", "settings", "said"), REFUSED, ids=str)
def test_what_an_algorithm_would_not_read_is_refused_in_one_line(name, sampling, settings, said):
    with pytest.raises(UserError, match=said):
        config_of("x", "x", algorithm={"name": name, **settings}, sampling=sampling)


def test_truncated_sampling_with_several_steps_a_rollout_is_refused():
    with pytest.raises(UserError, match=r"optimizer.epochs = 1"):
        config_of(
            "x", "x", algorithm={"name": "grpo"}, sampling={"top_p": 0.9}, optimizer={"epochs": 2}
        )


OTHER = {
    "loss": "gspo", "kl": "k1", "correction": "token", "supervision": "process", "scale": "none",
    "baseline": {"reinforce": "none", None: "leave_one_out"}, "kind": "separate", "dual_clip": 1.01,
    "epsilon": 0.001, "epsilon_high": 0.001, "clip": 1e-4, "correction_cap": 0.5, "ranking": 3,
    "correction_floor": 1.9, "delta": 0.01, "cg_steps": 1, "fisher_samples": 1, "reference_every": 1,
    "pair_steps": 2, "kl_target": 1e-9, "sapo_positive": 3.0, "sapo_negative": 3.0, "backtracks": 1,
}  # fmt: skip
BESIDE = {  # what must be on for a setting to be read
    "kl": {"beta": 0.1}, "reference_every": {"beta": 0.1}, "sapo_positive": {"loss": "sapo"},
    "sapo_negative": {"loss": "sapo"}, "correction_cap": {"correction": "token"},
    "correction_floor": {"correction": "token"}, "correction_mask": {"correction": "token"},
    "backtracks": {"delta": 100.0}, "dual_clip": {"epsilon": 0.001},
}  # fmt: skip


def settings_of(model, prefix=()):
    for key, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from settings_of(inner, (*prefix, key))
        elif key not in ("name", "pairs"):  # another algorithm; a file, which has tests of its own
            yield (*prefix, key), field.default


EVERY = [
    (name, path, default)
    for name in ALGORITHMS
    for path, default in settings_of(algorithm_class(name).Settings)
]


def outcome(name, settings):
    """What two updates leave behind: weights, state, metrics."""
    if name == "rlhf":  # one step of the reward model, then PPO
        settings = {"pair_steps": 1, **settings}
    several = {} if algorithm_class(name).Settings.one_step else {"epochs": 3}
    algorithm = toy_learner(name, optimizer=several, **settings)
    rollouts = [toy_rollout(seed=1), toy_rollout(("mixed", "all wrong", "mixed, cut off"), seed=2)]
    stats = [toy_step(algorithm, r, 0.3) for r in rollouts]
    weights = torch.cat([p.detach().flatten() for p in algorithm.policy.parameters])
    told = [{k: v for k, v in one.items() if "time" not in k} for one in stats]
    return weights, str(algorithm.state()), told, algorithm.prepare(rollouts[0]).advantages()


@pytest.mark.parametrize(("name", "path", "default"), EVERY, ids=lambda x: str(x))
def test_every_setting_of_every_algorithm_changes_what_it_does(name, path, default):
    beside = BESIDE.get(path[-1], {})
    other = OTHER.get(path[-1])
    if isinstance(other, dict):
        other = other.get(name, other[None])
    if other is None:
        other = not default if isinstance(default, bool) else (default or 0.5) * 0.5
    changed = {path[-1]: other}
    for key in reversed(path[:-1]):
        changed = {key: changed}
    if (name, path) == ("a2c", ("critic", "clip")):
        with pytest.raises(UserError, match="has no meaning"):
            outcome(name, changed)
        return
    plain, found = outcome(name, beside), outcome(name, {**beside, **changed})
    same = torch.equal(plain[0], found[0]) and plain[1:] == found[1:]
    assert not same


@pytest.mark.parametrize("kind", [TrainConfig, SftConfig], ids=lambda kind: kind.__name__)
def test_the_help_lists_every_setting_with_its_default_and_a_line(kind, capsys):
    print_settings(kind)
    printed = capsys.readouterr().out
    sections = [f"[{name}]" for name in kind.model_fields if name != "algorithm"]
    own = {name: algorithm_class(name).Settings for name in ALGORITHMS}
    sections += [f'[algorithm]   with name = "{name}"' for name in own if kind is TrainConfig]
    for title in sections:
        assert f"\n{title}\n" in printed
    for line in printed.splitlines():
        if line.startswith("  "):  # key, default, what it does: no column is empty
            assert re.fullmatch(r"  \S+ +\S.*? +\S.*", line), line
    if kind is TrainConfig:
        for name, settings in own.items():
            part = printed.partition(f'with name = "{name}"\n')[2].partition("\n[")[0]
            for path, default in settings_of(settings):
                default = "none" if default is None else str(default)
                line = re.search(rf"^  {re.escape('.'.join(path))} .*$", part, re.M)
                assert line, (name, path)
                assert f" {default} " in line[0]
