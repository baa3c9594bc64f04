"""The ladder bounds what it says it bounds, skips what is not finite, and reads what it is told."""

import copy
import dataclasses
import json
import math
from collections import Counter

import pytest
import torch

from common.errors import UserError
from data import Mixture, synthesize
from rewards import check
from tests.conftest import config_of
from tests.toys import toy_learner, toy_policy, toy_rollout, toy_step
from train.algorithms.pairs import pairs_that_fit
from train.algorithms.trpo import conjugate_gradient
from train.batch import Batch
from train.config.sections import Lora
from train.curriculum import Curriculum
from train.losses import Normalizer
from train.policy import add_lora
from train.run import Run
from train.update import update

pytestmark = pytest.mark.usefixtures("own_networks_are_toys")

SIGNAL = ("mixed", "all wrong", "all right", "mixed, cut off", "wrong, steps equal", "all right")


def exact_kl(before, after, rollout):
    """KL(before ‖ after) a token over the groups with a signal, by transformers alone."""
    total, tokens = 0.0, 0
    models = [copy.deepcopy(policy.model) for policy in (before, after)]
    for model in models:
        model.set_attn_implementation("eager")
    for g, mixed in enumerate(rollout.mixed.tolist()):
        for completion in rollout.completions[g] if mixed else ():
            prompt = rollout.prompts[g]
            ids = torch.tensor([[*prompt, *completion.token_ids]])
            with torch.no_grad():
                was, now = (
                    model(input_ids=ids).logits[0, len(prompt) - 1 : -1].double().log_softmax(-1)
                    for model in models
                )
            total += float((was.exp() * (was - now)).sum())
            tokens += len(completion.token_ids)
    return total / tokens


@pytest.mark.parametrize("steps", [4, pytest.param(60, marks=pytest.mark.long)])
def test_trpo_keeps_the_exact_kl_within_its_limit_though_most_groups_have_no_signal(steps):
    algorithm = toy_learner("trpo", delta=0.003, damping=0.01)
    accepted = 0
    for number in range(steps):
        rollout = toy_rollout(SIGNAL, seed=number)
        before = copy.deepcopy(algorithm.policy)
        stats = toy_step(algorithm, rollout)
        exact = exact_kl(before, algorithm.policy, rollout)
        assert exact <= 0.003 * (1 + 1e-6)
        assert stats["trpo/kl"] == pytest.approx(exact, rel=1e-4, abs=1e-9)
        accepted += stats["trpo/step"] > 0
    assert accepted >= steps / 2


def chosen(rollout, groups):
    """Some groups of a rollout, as a rollout."""
    lists = ("problems", "sources", "prompts", "completions", "verdicts")
    kept = {name: [getattr(rollout, name)[g] for g in groups] for name in lists}
    tensors = {
        name: None if (x := getattr(rollout, name)) is None else x[groups]
        for name in ("rewards", "shaped", "outcome")
    }
    functions = {name: x[groups] for name, x in rollout.by_function.items()}
    return dataclasses.replace(rollout, **kept, **tensors, by_function=functions)


@pytest.mark.parametrize("steps", [1, pytest.param(60, marks=pytest.mark.long)])
def test_trpo_keeps_it_on_real_samples_where_a_third_of_the_groups_has_no_signal(
    base, tmp_path, steps
):
    """What a tiny model writes itself, its own reward; the KL by transformers, in float64."""
    delta = 0.003
    algorithm = {"name": "trpo", "delta": delta, "damping": 0.01, "cg_steps": 4}
    size = {"prompts": 24, "completions": 4}
    run = Run(config_of(tmp_path / "r", base, algorithm=algorithm, rollout=size))
    accepted, step, taken = 0, 0, 0
    while taken < steps:
        step += 1
        drawn = run.rollouts.next(step)
        mixed = [g for g, one in enumerate(drawn.mixed.tolist()) if one][:6]
        without = [g for g, one in enumerate(drawn.mixed.tolist()) if not one][:3]
        if (len(mixed), len(without)) != (6, 3):
            assert step < 3 * steps
            continue
        rollout, taken = chosen(drawn, mixed + without), taken + 1
        before = copy.deepcopy(run.policy)
        batch = run.algorithm.prepare(rollout)
        stats = update(run.policy, run.optimizer, batch, run.algorithm, 1.0)
        exact = exact_kl(before, run.policy, rollout)
        assert exact <= delta * (1 + 1e-3)
        assert stats["trpo/kl"] == pytest.approx(exact, rel=1e-2, abs=1e-6)
        accepted += stats["trpo/step"] > 0
    assert accepted >= steps / 2


@pytest.mark.parametrize("name", ["trpo", "npg"])
def test_a_curvature_that_is_not_finite_skips_the_step_and_is_counted(name, monkeypatch):
    algorithm = toy_learner(name)
    before = [p.detach().clone() for p in algorithm.policy.parameters]
    monkeypatch.setattr(algorithm, "fisher", lambda *_: lambda vector: vector * math.nan)
    assert toy_step(algorithm, toy_rollout())["skipped_steps"] == 1
    assert all(map(torch.equal, before, algorithm.policy.parameters))


def test_a_small_gradient_still_gives_a_direction():
    matrix = torch.diag(torch.arange(1.0, 9.0)).double()
    target = 7e-6 * torch.ones(8).double()
    found = conjugate_gradient(lambda v: matrix @ v, target, 20)
    torch.testing.assert_close(matrix @ found, target, atol=1e-10, rtol=0)


def test_the_weight_of_ppos_penalty_follows_the_kl_after_the_update():
    """Three updates: the KL of each is computed apart from the policies before and after it."""
    algorithm = toy_learner("ppo_penalty", optimizer={"epochs": 2}, kl_weight=0.2, kl_target=0.003)
    weight, directions = 0.2, set()
    for rate in (1e-6, 0.5, 1e-6):
        rollout = toy_rollout()
        before = algorithm.prepare(rollout)
        old = {r: v.clone() for r, v in before.frozen("old_logprobs").items()}
        stats = toy_step(algorithm, rollout, rate)
        after = algorithm.prepare(rollout).frozen("old_logprobs")
        gaps = [after[r] - old[r] for r in old]
        kl = sum(float((d.exp() - 1 - d).sum()) for d in gaps) / sum(map(len, gaps))
        assert stats["kl_moved"] == pytest.approx(kl, rel=1e-4, abs=1e-10)
        assert stats["kl_weight"] == weight
        factor = 0.5 if kl < 0.003 / 1.5 else 2.0 if kl > 0.003 * 1.5 else 1.0
        directions.add(factor)
        weight *= factor
        assert algorithm.weight == weight
    assert directions == {0.5, 2.0}


def test_the_reward_model_reads_the_last_token():
    algorithm = toy_learner("rlhf")
    torch.nn.init.normal_(algorithm.model.head.weight)
    rollout = toy_rollout(("mixed",))
    first = algorithm.model.score(rollout, [(0, 0), (0, 1)])
    ids = rollout.completions[0][0].token_ids
    ids[-1] = (ids[-1] + 1) % 9
    second = algorithm.model.score(rollout, [(0, 0), (0, 1)])
    assert abs(float(first[0] - second[0])) > 1e-4
    assert float(first[1] - second[1]) == pytest.approx(0.0, abs=1e-6)


def test_without_a_pair_the_reward_model_waits_and_ppo_with_it():
    algorithm = toy_learner("rlhf", pair_steps=1)
    stats = toy_step(algorithm, toy_rollout(("all right", "all wrong")))
    assert stats["rlhf/pairs"] == 0
    assert algorithm.modelling
    assert toy_step(algorithm, toy_rollout())["rlhf/pairs"] > 0
    assert not algorithm.modelling


def test_a_gradient_that_is_not_finite_leaves_the_reward_model_as_it_is(monkeypatch):
    algorithm = toy_learner("rlhf", pair_steps=1)
    before = [p.detach().clone() for p in algorithm.model.trained()]
    plain = algorithm.model.score
    monkeypatch.setattr(algorithm.model, "score", lambda *a: plain(*a) * math.nan)
    assert toy_step(algorithm, toy_rollout())["skipped_steps"] == 1
    assert all(map(torch.equal, before, algorithm.model.trained()))
    assert algorithm.modelling


def test_reinforces_first_baseline_is_the_mean_of_the_others():
    algorithm = toy_learner("reinforce")
    rewards = toy_rollout(("mixed",)).rewards
    found = algorithm.advantages(toy_rollout(("mixed",)))
    assert found.tolist() == [[1.0, -0.5, -0.5]]
    assert algorithm.baseline == pytest.approx(float(rewards.mean()))
    assert algorithm.advantages(toy_rollout(("mixed",)))[0, 0] == pytest.approx(2 / 3)


def test_whitening_one_token_gives_zero():
    rollout = toy_rollout(("mixed",))
    batch = Batch(rollout, lambda *_: [], lambda *_: Normalizer(1, 1), tokens_per_pass=99)
    batch._frozen["advantages"] = {(0, 0): torch.tensor([0.7])}
    batch.whiten_advantages()
    assert batch.frozen("advantages")[0, 0].tolist() == [0.0]


def test_a_critics_large_gradient_does_not_shorten_the_actors_step():
    found = []
    for weight in (1e-3, 1e3):
        critic = {"weight": weight}
        algorithm = toy_learner("a2c", critic=critic, optimizer={"max_grad_norm": 0.5})
        before = [p.detach().clone() for p in algorithm.policy.parameters]
        toy_step(algorithm, toy_rollout())
        found.append(
            [b - p.detach() for b, p in zip(before, algorithm.policy.parameters, strict=True)]
        )
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


class Words:
    """A prompt template of one token a word."""

    def encode(self, text):
        return text.split()

    encode_target = encode


@pytest.mark.parametrize(
    ("chosen", "rejected", "said"),
    [
        ("a b", "a b", "line 2: 'chosen' and 'rejected' are the same text"),
        ("a", "a b c d e f", "line 2: question and 'rejected' are 8 tokens"),
    ],
)
def test_a_pair_that_cannot_teach_is_refused_with_its_line(tmp_path, chosen, rejected, said):
    rows = [("q q", "a", "b"), ("q q", chosen, rejected)]
    keys = ("question", "chosen", "rejected")
    text = "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(UserError, match=said):
        pairs_that_fit(tmp_path / "p.jsonl", Words(), 7)


def test_a_cut_off_completion_earns_nothing_from_its_last_number():
    assert check("so it is 7", "7").reward == 1
    assert check("so it is 7", "7", truncated=True).reward == 0
    assert check("#### 7\nso that", "7", truncated=True).reward == 1


@pytest.mark.parametrize(("count", "size"), [(35, 8), (35, 20), (10, 7), (10, 10), (9, 4)])
def test_no_step_asks_a_problem_twice_and_no_epoch_leaves_one_out(count, size):
    curriculum = Curriculum(Mixture([synthesize(count, seed=0)], [1.0], seed=3))
    taken = [curriculum.take(size) for _ in range(3 * count)]
    assert all(len(set(batch)) == size for batch in taken)
    times = Counter(i for batch in taken for i in batch)
    assert max(times.values()) - min(times.values()) <= 1  # put off to the next step at most


@pytest.mark.parametrize(
    "modules", [["lm_head"], ["q_proj", "lm_head"], "lm_head", ["embed_tokens"]]
)
def test_an_adapter_on_the_head_is_refused_in_one_line(modules):
    with pytest.raises(UserError, match="cannot get an adapter"):
        config_of("unused", "unused", lora={"target_modules": modules})


def test_an_adapter_on_the_head_is_refused_under_any_name():
    base = toy_policy().model.unload()
    with pytest.raises(UserError, match="not supported"):
        add_lora(base, Lora(target_modules=".*head"), 0)
