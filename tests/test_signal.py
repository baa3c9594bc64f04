"""The gradient of a step is the formula's: float64 against plain loops, however it is cut."""

import copy
import functools
import math

import pytest
import torch

from tests.plain import CAP, FLOOR, HIGH, LOW, Plain
from tests.toys import GROUPS, shake, toy_learner, toy_policy, toy_rollout
from train.losses import LOSSES
from train.update import forward_pass, update

SEVERAL = {"epochs": 2}


def gradient(algorithm, batch, units=None, whole=None):
    """What the first minibatch adds to the weights' gradients."""
    [minibatch] = batch.minibatches()
    total, passes = None, 0
    for micro in batch.micro_batches(minibatch.units if units is None else units):
        forward = forward_pass(algorithm.policy, micro, algorithm.entropy_gradient)
        algorithm.loss(micro, forward, whole or minibatch.whole).loss.backward()
        passes += 1
    parameters = [p for g in algorithm.parameter_groups() for p in g["params"]]
    flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    total = torch.cat([g.double().flatten() for g in flat])
    for parameter in parameters:
        parameter.grad = None
    return total, passes


@functools.cache
def plain_loops():
    """The log-probs before and after the policy moved, with the two policies."""
    policy = toy_policy()
    before = Plain(policy, toy_rollout())
    old = {row: [float(x.detach()) for x in values] for row, values in before.now.items()}
    moved = copy.deepcopy(policy)
    shake(moved)
    return policy, old, moved, Plain(moved, toy_rollout())


TERMS = [(0.0, 0.0), (0.5, 0.1)]
MORE_TERMS = [pytest.param(*pair, marks=pytest.mark.long) for pair in ((0.5, 0.0), (0.0, 0.1))]


@pytest.mark.parametrize(("beta", "bonus"), [*TERMS, *MORE_TERMS])
@pytest.mark.parametrize("kind", ["outcome", "penalised", "process"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_that_of_plain_loops_however_the_step_is_cut(loss, kind, beta, bonus):
    policy, old, moved, plain = plain_loops()
    plain.rollout = rollout = toy_rollout(penalties=kind == "penalised")
    supervision = "process" if kind == "process" else "outcome"
    correction = "token" if beta else "none"
    bounds = {"correction_cap": CAP, "correction_floor": FLOOR} if beta else {}
    clip = {} if loss == "sapo" else {"epsilon": LOW, "epsilon_high": HIGH}
    expected = plain.gradient(
        loss, old, beta=beta, bonus=bonus, supervision=supervision, correction=correction
    )
    assert expected.abs().max() > 1e-3
    cuts = set()
    for size in (10**6, 30, 8):
        algorithm = toy_learner(
            policy=policy, loss=loss, beta=beta, entropy_bonus=bonus, supervision=supervision,
            correction=correction, **bounds, **clip,
            optimizer={**SEVERAL, "tokens_per_pass": size},
        )  # fmt: skip
        batch = algorithm.prepare(rollout)
        algorithm.policy = moved
        ours, passes = gradient(algorithm, batch)
        cuts.add(passes)
        torch.testing.assert_close(ours, expected, atol=1e-6 * float(expected.norm()), rtol=1e-6)
    assert len(cuts) == 3


CUT = {
    "reinforce": {}, "rloo": {}, "a2c": {}, "dpo": {},
    "ppo": {"beta": 0.1, "entropy_bonus": 0.1},
    "ppo_penalty": {"beta": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_no_algorithm_of_the_ladder_depends_on_how_its_step_is_cut(name):
    optimizer = SEVERAL if name in ("dpo", "ppo", "ppo_penalty") else {}
    found = []
    for size in (10**6, 30, 8):
        algorithm = toy_learner(name, optimizer={**optimizer, "tokens_per_pass": size}, **CUT[name])
        batch = algorithm.prepare(toy_rollout(penalties=name != "dpo"))
        shake(algorithm.policy)
        found.append(gradient(algorithm, batch))
    assert len({passes for _, passes in found}) >= 2  # a pair is never cut
    assert found[0][0].abs().max() > 1e-3
    for ours, _ in found[1:]:
        torch.testing.assert_close(ours, found[0][0], atol=1e-6 * float(ours.norm()), rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({}, {"mixed", "mixed, cut off"}),
        ({"beta": 1.0}, set(GROUPS)),
        ({"entropy_bonus": 0.1}, set(GROUPS)),
        ({"supervision": "process"}, set(GROUPS) - {"wrong, steps equal", "all right"}),
    ],
)
def test_a_group_is_passed_exactly_where_something_teaches_from_it(settings, groups):
    algorithm = toy_learner(**settings)
    [minibatch] = algorithm.prepare(
        toy_rollout(penalties="supervision" not in settings)
    ).minibatches()
    assert {list(GROUPS)[g] for [(g, _)] in minibatch.units} == groups


def test_the_kl_teaches_and_is_measured_where_no_reward_differs():
    rollout = toy_rollout(("all wrong", "all right"))
    algorithm = toy_learner(beta=1.0)
    optimizer = torch.optim.SGD(algorithm.parameter_groups(), lr=1.0)
    stats = update(algorithm.policy, optimizer, algorithm.prepare(rollout), algorithm, 1e-3)
    plain = Plain(toy_policy(), rollout)
    kls = [
        math.exp(r - x) + x - r - 1
        for row in plain.now
        for x, r in zip([x.item() for x in plain.now[row]], plain.reference[row], strict=True)
    ]
    assert stats["kl"] == pytest.approx(sum(kls) / len(kls), rel=1e-6)
    assert stats["grad_norm"] > 0.1
    assert stats["entropy"] > 0


@pytest.mark.parametrize("name", ["grpo", "rloo", "trpo"])
def test_penalties_alone_give_no_advantage_and_no_step(name):
    rollout = toy_rollout(("all wrong", "all right"), penalties=True)
    assert (rollout.shaped[0] != rollout.shaped[0, 0]).any()
    assert not rollout.mixed.any()
    algorithm = toy_learner(name)
    assert algorithm.advantages(rollout).abs().max() == 0
    assert algorithm.prepare(rollout).minibatches()[0].units == []


def test_what_decides_about_a_signal_can_be_handed_in():
    rollout = toy_rollout(("all wrong",))
    rollout.outcome = torch.tensor([[0.0, 0.5, 0.0]])
    assert rollout.mixed.tolist() == [True]
