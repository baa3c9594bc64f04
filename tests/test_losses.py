"""Losses, KL estimators and advantages agree with plain float64 loops, in value and gradient."""

import math

import pytest
import torch

from common.errors import UserError
from train.advantages import group_advantages, has_mixed_rewards, signal_advantages
from train.correction import sampler_weights
from train.losses import LOSSES, Normalizer, kl_estimate, policy_loss

LOW, HIGH, BETA, MAX_TOKENS = 0.2, 0.28, 0.05, 16


def make_batch(seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    b, t = 6, 9
    old = -torch.rand(b, t, generator=draw, dtype=torch.float64) * 3
    drift = torch.linspace(-0.6, 0.6, b, dtype=torch.float64)[:, None]
    new = old + drift + 0.5 * torch.randn(b, t, generator=draw, dtype=torch.float64)
    ref = old + 0.3 * torch.randn(b, t, generator=draw, dtype=torch.float64)
    advantages = torch.tensor([-1.2, 0.7, -0.4, 0.9, -0.8, 1.1], dtype=torch.float64)
    mask = torch.arange(t)[None] < torch.tensor([9, 1, 4, 7, 2, 5])[:, None]
    return new, old, ref, advantages, mask


def reference_kl(name: str, d):
    return {"k1": lambda: d, "k2": lambda: d * d / 2, "k3": lambda: torch.exp(-d) + d - 1}[name]()


def reference_loss(loss, new, old, ref, advantages, mask, kl):
    """The formulas of docs/grpo.md, token by token."""
    sequences = []
    for i in range(new.shape[0]):
        at = [t for t in range(new.shape[1]) if mask[i, t]]
        mean_log = sum(new[i, t] - old[i, t] for t in at) / len(at)
        terms = []
        for t in at:
            ratio = torch.exp(mean_log if loss == "gspo" else new[i, t] - old[i, t])
            a = advantages[i]
            if loss == "sapo":
                tau = 1.0 if a > 0 else 1.05
                term = -a * 4 / tau / (1 + torch.exp(-tau * (ratio - 1)))
            elif loss == "gmpo":
                sign = 1 if a > 0 else -1
                held = [sign * torch.clamp(sign * (new[i, u] - old[i, u]), max=HIGH) for u in at]
                term = -a * torch.exp(sum(held) / len(at))
            elif loss == "cispo":
                term = -min(ratio.item(), 1 + HIGH) * a * new[i, t]
            else:
                bounded = torch.clamp(ratio, 1 - LOW, 1 + HIGH)
                term = -torch.minimum(ratio * a, bounded * a)
            terms.append(term + BETA * reference_kl(kl, new[i, t] - ref[i, t]))
        sequences.append(terms)
    tokens = sum(map(len, sequences))
    if loss in ("grpo", "gspo", "gmpo", "sapo"):
        return sum(sum(terms) / len(terms) for terms in sequences) / len(sequences)
    total = sum(sum(terms) for terms in sequences)
    return total / (len(sequences) * MAX_TOKENS) if loss == "dr_grpo" else total / tokens


@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient_equal_the_formula(loss, kl):
    new, old, ref, advantages, mask = make_batch()
    ours, theirs = new.clone().requires_grad_(), new.clone().requires_grad_()
    out = policy_loss(
        ours,
        old,
        advantages,
        mask,
        ref_logprobs=ref,
        loss=loss,
        epsilon=LOW,
        epsilon_high=HIGH,
        beta=BETA,
        kl=kl,
        max_tokens=MAX_TOKENS,
    )
    expected = reference_loss(loss, theirs, old, ref, advantages, mask, kl)
    assert out.loss.item() == pytest.approx(expected.item(), abs=1e-9)
    out.loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-9, rtol=1e-9)
    assert (out.metrics["clipped"] > 0) == (loss != "sapo")  # which bends softly in its place
    assert (ours.grad[~mask] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_of_a_batch_add_up_to_the_whole(loss):
    new, old, _, advantages, mask = make_batch(1)
    options = {"loss": loss, "max_tokens": MAX_TOKENS}
    whole = policy_loss(new, old, advantages, mask, **options).loss
    size = Normalizer(sequences=6, tokens=int(mask.sum()))
    parts = [
        policy_loss(new[s], old[s], advantages[s], mask[s], whole=size, **options).loss
        for s in (slice(0, 1), slice(1, 4), slice(4, 6))
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-12)


def test_kl_estimators_average_to_the_true_kl():
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.4, 0.4, 0.2]).double()
    true = (p * (p / q).log()).sum()
    for name in ("k1", "k3"):  # unbiased
        assert (p * kl_estimate(p.log(), q.log(), name)).sum().item() == pytest.approx(true.item())
    assert (kl_estimate(p.log(), q.log(), "k3") >= 0).all()


def test_advantages_equal_the_formula():
    rewards = torch.tensor([[1.0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 1]])
    ours = group_advantages(rewards)
    for row, result in zip(rewards.tolist(), ours.tolist(), strict=True):
        mean = sum(row) / 4
        std = math.sqrt(sum((r - mean) ** 2 for r in row) / 3)
        assert result == pytest.approx([(r - mean) / (std + 1e-4) for r in row], abs=1e-6)
    assert group_advantages(rewards, "none")[0].tolist() == [0.5, -0.5, -0.5, 0.5]
    flat = rewards.flatten().tolist()
    mean = sum(flat) / 12
    std = math.sqrt(sum((r - mean) ** 2 for r in flat) / 11)
    assert group_advantages(rewards, "batch")[2, 3].item() == pytest.approx(0.75 / (std + 1e-4))
    assert has_mixed_rewards(rewards).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda: group_advantages(torch.ones(3, 1)),
        lambda: group_advantages(torch.ones(3, 2), "rows"),  # type: ignore[arg-type]
        lambda: policy_loss(*make_batch()[:2], *make_batch()[3:], loss="ppo"),  # type: ignore[arg-type]
        lambda: policy_loss(*make_batch()[:2], *make_batch()[3:], loss="dr_grpo"),
        lambda: policy_loss(*make_batch()[:2], *make_batch()[3:], beta=0.1),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(ValueError):
        call()


def options(new, old, ref, advantages, mask, **more):
    return policy_loss(
        new, old, advantages, mask, loss="dapo", epsilon=LOW, epsilon_high=HIGH, **more
    )


@pytest.mark.parametrize("correction", ["none", "token", "sequence"])
@pytest.mark.parametrize("dual_clip", [None, 1.5])
def test_dual_clip_entropy_bonus_and_correction_equal_the_formula(dual_clip, correction):
    new, old, ref, advantages, mask = make_batch(1)
    sampled = old + 0.3 * torch.randn(old.shape, generator=torch.Generator().manual_seed(2))
    ours, theirs = new.clone().requires_grad_(), new.clone().requires_grad_()
    out = options(
        ours, old, ref, advantages, mask, dual_clip=dual_clip, entropy=-ours, entropy_bonus=0.1,
        sampler_logprobs=sampled, correction=correction, correction_cap=1.2,
    )  # fmt: skip
    total = 0.0
    for i in range(new.shape[0]):
        at = [t for t in range(new.shape[1]) if mask[i, t]]
        whole = math.exp(sum(float(old[i, t] - sampled[i, t]) for t in at))
        for t in at:
            ratio, a = torch.exp(theirs[i, t] - old[i, t]), advantages[i]
            term = torch.minimum(ratio * a, torch.clamp(ratio, 1 - LOW, 1 + HIGH) * a)
            if dual_clip and a < 0:
                term = torch.maximum(term, dual_clip * a)
            one = math.exp(float(old[i, t] - sampled[i, t]))
            weight = {"none": 1.0, "token": min(one, 1.2), "sequence": min(whole, 1.2)}[correction]
            total = total - weight * term - 0.1 * -theirs[i, t]
    expected = total / int(mask.sum())
    assert out.loss.item() == pytest.approx(expected.item(), abs=1e-9)
    out.loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-9, rtol=1e-9)
    if dual_clip:
        plain = options(new, old, ref, advantages, mask)
        assert out.metrics["clipped"] > plain.metrics["clipped"]


def test_options_that_make_no_sense_are_refused():
    batch = make_batch()
    with pytest.raises(ValueError, match="dual_clip"):
        options(*batch, dual_clip=0.5)
    with pytest.raises(ValueError, match="entropy"):
        options(*batch, entropy_bonus=0.1)
    with pytest.raises(ValueError, match="correction"):
        options(*batch, correction="word", sampler_logprobs=batch[1])
    with pytest.raises(ValueError, match="log-probs"):
        options(*batch, correction="token")


def test_leave_one_out_is_the_reward_less_the_mean_of_the_others():
    rewards = torch.rand(4, 5, dtype=torch.float64)
    ours = group_advantages(rewards, "none", "leave_one_out")
    for p in range(4):
        for i in range(5):
            others = [rewards[p, j].item() for j in range(5) if j != i]
            assert ours[p, i].item() == pytest.approx(rewards[p, i].item() - sum(others) / 4)
    with pytest.raises(ValueError, match="baseline"):
        group_advantages(rewards, "none", "median")


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("floor", [None, 0.8])
@pytest.mark.parametrize("correction", ["token", "sequence", "geometric"])
def test_weights_and_masks_of_the_correction_are_those_computed_by_hand(correction, floor, drop):
    _, old, _, _, mask = make_batch(4)
    sampled = old + 0.3 * torch.randn(old.shape, generator=torch.Generator().manual_seed(5))
    ours = sampler_weights(old, sampled, mask, correction, 1.2, floor, drop=drop)
    found = set()
    for i in range(old.shape[0]):
        at = [t for t in range(old.shape[1]) if mask[i, t]]
        logs = {t: float(old[i, t] - sampled[i, t]) for t in at}
        for t in at:
            weight = {
                "token": math.exp(logs[t]),
                "sequence": math.exp(sum(logs.values())),
                "geometric": math.exp(sum(logs.values()) / len(at)),
            }[correction]
            beyond = weight > 1.2 or (floor is not None and weight < floor)
            if beyond:
                weight = 0.0 if drop else 1.2 if weight > 1.2 else floor
            found.add(beyond)
            assert float(ours[i, t]) == pytest.approx(weight, rel=1e-6)
    assert found == {False, True} or (correction, floor) == ("geometric", None)


def test_a_correction_without_room_between_its_bounds_is_refused():
    _, old, _, _, mask = make_batch()
    with pytest.raises(ValueError, match="floor"):
        sampler_weights(old, old, mask, "token", 1.0, 1.5)


def test_the_correction_compares_the_sampler_with_what_it_is_told_to():
    new, old, ref, advantages, mask = make_batch()
    asked = {"sampler_logprobs": old - 0.1, "correction": "token", "correction_cap": 9.0}
    plain = options(new, old, ref, advantages, mask).loss
    same = options(new, old, ref, advantages, mask, exact_logprobs=old - 0.1, **asked).loss
    assert same.item() == pytest.approx(plain.item())
    other = options(new, old, ref, advantages, mask, **asked)
    assert other.loss.item() == pytest.approx(plain.item() * math.exp(0.1))
    assert other.metrics["weight_sum"].item() == pytest.approx(int(mask.sum()) * math.exp(0.1))


def test_a_loss_of_the_users_own_is_averaged_over_tokens_like_dapo():
    new, old, ref, advantages, mask = make_batch()

    def mine(logprobs, old_logprobs, advantages, mask, *, epsilon, epsilon_high):
        ratio = (logprobs - old_logprobs).exp()
        assert mask.dtype == torch.bool
        bounded = ratio.clamp(1 - epsilon, 1 + epsilon_high)
        return -torch.minimum(ratio * advantages, bounded * advantages)

    same = {"epsilon": LOW, "epsilon_high": HIGH, "beta": BETA, "ref_logprobs": ref}
    whole = Normalizer(12, 100)
    ours = policy_loss(new, old, advantages, mask, loss=mine, whole=whole, **same)
    theirs = policy_loss(new, old, advantages, mask, loss="dapo", whole=whole, **same)
    assert ours.loss.item() == pytest.approx(theirs.loss.item(), abs=1e-12)
    with pytest.raises(UserError, match="one loss a token"):
        policy_loss(new, old, advantages, mask, loss=lambda *a, **k: new.sum())


def test_k1_teaches_nothing_on_policy_and_k2_and_k3_the_two_kls():
    logits = torch.tensor([0.3, -0.5, 0.9, 0.1], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.1, 0.4, 0.2, 0.3]).double()
    log_p = logits.log_softmax(0)
    p = log_p.detach().exp()

    def slope(value):
        return torch.autograd.grad(value, logits, retain_graph=True)[0]

    def expected(kind):  # samples come from p, which has no gradient there
        return slope((p * kl_estimate(log_p, q.log(), kind)).sum())

    torch.testing.assert_close(expected("k1"), torch.zeros(4).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(expected("k2"), slope((log_p.exp() * (log_p - q.log())).sum()))
    torch.testing.assert_close(expected("k3"), slope((q * (q.log() - log_p)).sum()))


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_penalties_never_make_a_signal(scale):
    outcome = torch.tensor([[0.0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1]])
    shaped = outcome + torch.tensor([[0, 0, -0.02, -0.01], [0, -0.3, 0, 0], [0, 0, -0.5, -0.1]])
    found = signal_advantages(shaped, outcome, scale)
    assert found[:2].abs().max() == 0
    told = torch.stack([outcome[0], outcome[1], shaped[2]])
    torch.testing.assert_close(found[2], group_advantages(told, scale)[2])
    assert found[2, 0] > found[2, 3] > found[2, 1] > found[2, 2]  # inside a mixed group they count
