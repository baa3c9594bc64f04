"""Where the sampler is not the trainer: truncated, said wrongly, without dropout, in bfloat16."""

import math

import pytest
import torch

from tests.plain import Plain
from tests.toys import toy_learner, toy_policy, toy_rollout
from train.algorithms.grpo import resolved_correction
from train.policy.logprobs import Truncation
from train.update import MetricSums, update

TRUNCATIONS = [{"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}, {"top_p": 0.95, "top_k": 6}]


@pytest.mark.parametrize("truncation", TRUNCATIONS, ids=str)
@pytest.mark.parametrize("correction", ["none", "sequence"])
def test_under_truncated_sampling_the_log_probs_are_those_of_what_was_kept(truncation, correction):
    """The kept set by hand; the sampler's own log-probs are then ours, and its weights are 1."""
    policy = toy_policy(truncation=Truncation(**truncation))
    rollout = toy_rollout(("mixed", "mixed, cut off"))
    plain = Plain(policy, rollout)
    value, count = 0.0, 0
    advantages = plain.advantages("outcome")
    for (g, i), values in advantages.items():
        completion = rollout.completions[g][i]
        log_p = plain.distribution(g, completion)
        kept_logs = []
        for t, token in enumerate(completion.token_ids):
            row = log_p[t]
            order = sorted(range(len(row)), key=lambda v: -float(row[v]))
            kept = [
                v
                for v in order
                if float(row[v]) >= float(row.max()) + math.log(truncation.get("min_p", 1e-9))
            ]
            kept = kept[: truncation.get("top_k") or len(kept)]
            mass = sum(float(row[v].exp()) for v in kept)
            held, nucleus = 0.0, []
            for v in kept:
                if held < truncation.get("top_p", 1.0) or truncation.get("top_p", 1.0) == 1.0:
                    nucleus.append(v)
                held += float(row[v].exp()) / mass
            nucleus = nucleus if token in nucleus else [*nucleus, token]
            kept_logs.append(row[token] - row[nucleus].logsumexp(0))
        completion.logprobs = [float(x.detach()) for x in kept_logs]  # as the sampler would say
        value = value - sum(a * x for a, x in zip(values, kept_logs, strict=True))
        count += len(kept_logs)
    grads = torch.autograd.grad(value / count, plain.parameters)
    norm = math.sqrt(sum(float((g * g).sum()) for g in grads))
    algorithm = toy_learner(policy=policy, sampling=truncation, correction=correction)
    optimizer = torch.optim.SGD(algorithm.parameter_groups(), lr=1.0)
    stats = update(policy, optimizer, algorithm.prepare(rollout), algorithm, 1e-3)
    assert stats["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert stats["sampler_kl"] == pytest.approx(0.0, abs=1e-10)


def test_the_kl_to_the_sampler_is_that_of_a_temperature_said_wrongly():
    """Sampled at 1.1 and said to be 1.0: the gap and the weights are those computed by hand."""
    rollout, policy = toy_rollout(("mixed",)), toy_policy()
    plain = Plain(policy, rollout)
    gaps, weights = [], []
    for (g, i), now in plain.now.items():
        completion = rollout.completions[g][i]
        log_p = plain.distribution(g, completion)
        hot = (log_p / 1.1).log_softmax(-1)
        completion.logprobs = [float(hot[t, x]) for t, x in enumerate(completion.token_ids)]
        for said, x in zip(completion.logprobs, now, strict=True):
            d = said - float(x)
            gaps.append(math.exp(-d) + d - 1)
            weights.append(math.exp(-d) if 0.9 <= math.exp(-d) <= 1.05 else 0.0)
    asked = {"correction": "token", "correction_cap": 1.05, "correction_floor": 0.9}
    algorithm = toy_learner(policy=policy, correction_mask=True, **asked)
    optimizer = torch.optim.SGD(algorithm.parameter_groups(), lr=1.0)
    stats = update(policy, optimizer, algorithm.prepare(rollout), algorithm, 1e-3)
    assert stats["sampler_kl"] == pytest.approx(sum(gaps) / len(gaps), rel=1e-4)
    assert stats["correction/mean_weight"] == pytest.approx(sum(weights) / len(weights), rel=1e-5)
    assert stats["correction/dropped"] == pytest.approx(weights.count(0.0) / len(weights))
    assert 0 < weights.count(0.0) < len(weights)


def honest(rollout, policy):
    """The rollout with the log-probs that the policy gives its tokens."""
    for (g, i), now in Plain(policy, rollout).now.items():
        rollout.completions[g][i].logprobs = [float(x.detach()) for x in now]
    return rollout


@pytest.mark.parametrize("optimizer", [{}, {"epochs": 2}, {"minibatches": 2}], ids=str)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_neither_dropout_nor_later_steps_count_as_the_samplers_fault(dropout, optimizer):
    policy = toy_policy(dropout=dropout)
    rollout = honest(toy_rollout(), policy)
    algorithm = toy_learner(policy=policy, optimizer=optimizer, correction="token", beta=0.1)
    steps = torch.optim.SGD(algorithm.parameter_groups(), lr=1.0)
    stats = update(policy, steps, algorithm.prepare(rollout), algorithm, 0.5)
    assert stats["sampler_kl"] == pytest.approx(0.0, abs=1e-10)
    assert stats["correction/mean_weight"] == pytest.approx(1.0, abs=1e-5)
    if not optimizer:
        assert stats["ratio/max"] == 1.0


def test_without_frozen_log_probs_the_gap_is_taken_before_the_first_step_only():
    sums = MetricSums()
    policy = toy_policy()
    algorithm = toy_learner(policy=policy)
    [micro] = algorithm.prepare(toy_rollout(("mixed",))).all_micro_batches()
    sums.add_sampler_gap(micro, micro.sampler_logprobs)
    sums.add_step(1.0)
    sums.add_sampler_gap(micro, micro.sampler_logprobs - 1)
    assert sums.means()["sampler_kl"] == 0.0


def test_auto_corrects_vllm_in_bfloat16_alone_and_says_why(capsys):
    def config(backend, dtype):
        algorithm = toy_learner(sampling={"backend": backend})
        algorithm.config.model.dtype = dtype
        return algorithm.config

    assert resolved_correction(config("torch", "bfloat16")) == "none"
    assert resolved_correction(config("vllm", "float32")) == "none"
    capsys.readouterr()
    assert resolved_correction(config("vllm", "bfloat16")) == "token"
    assert "bfloat16" in capsys.readouterr().err
