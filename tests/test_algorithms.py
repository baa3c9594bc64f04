"""The ladder: each algorithm against its formula."""

import itertools

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from models.loading import load_tokenizer
from models.packed import ATTENTION
from sampling.completion import Completion
from tests.conftest import config_of
from train.algorithms.critic import gae, token_rewards, value_loss
from train.algorithms.dpo import plackett_luce, preference_loss
from train.algorithms.grpo import process_advantages
from train.algorithms.ppo_penalty import adapted
from train.algorithms.process import step_rewards
from train.algorithms.trpo import Trpo, conjugate_gradient, flat
from train.batch import MicroBatch, pack
from train.config.sections import Lora
from train.losses import policy_loss
from train.policy import Policy, add_lora
from train.rollout import Rollout

torch.set_default_dtype(torch.float32)


def ragged(rows, length, seed):
    """A mask whose rows end at different places."""
    ends = torch.randint(1, length + 1, (rows,), generator=torch.Generator().manual_seed(seed))
    return torch.arange(length)[None] < ends[:, None]


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.95, 1.0])
@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_gae_is_the_sum_of_discounted_errors(lam, gamma):
    draw = torch.Generator().manual_seed(1)
    rewards, values = (torch.randn(5, 7, generator=draw).double() for _ in range(2))
    mask = ragged(5, 7, 2)
    found = gae(rewards, values, mask, gamma=gamma, lam=lam)
    for b in range(5):
        end = int(mask[b].sum())
        v = [float(x) for x in values[b, :end]] + [0.0]
        delta = [float(rewards[b, t]) + gamma * v[t + 1] - v[t] for t in range(end)]
        for t in range(7):
            plain = sum((gamma * lam) ** (u - t) * delta[u] for u in range(t, end))
            assert float(found[b, t]) == pytest.approx(plain if t < end else 0.0, abs=1e-6)
            if lam == 1.0 and t < end:  # Monte Carlo
                future = sum(gamma ** (u - t) * float(rewards[b, u]) for u in range(t, end))
                assert float(found[b, t]) == pytest.approx(future - v[t], abs=1e-6)
            if lam == 0.0 and t < end:  # the TD error
                assert float(found[b, t]) == pytest.approx(delta[t], abs=1e-6)


def test_the_clipped_value_loss_by_hand():
    values, old = torch.tensor([[1.0, 0.5, 9.0]]), torch.tensor([[0.0, 0.5, 0.0]])
    returns, mask = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[True, True, False]])
    # token 0: V = 1 hits R = 1, but clipped to 0.2 it misses by 0.8; token 1: both miss by 0.5
    assert float(value_loss(values, old, returns, mask, 0.2)) == pytest.approx(
        0.5 * (0.64 + 0.25), abs=1e-6
    )
    assert float(value_loss(values, old, returns, mask, None)) == pytest.approx(0.5 * 0.25)


def test_the_penalty_of_ppo_is_doubled_and_halved():
    assert adapted(1.0, 0.1, 0.05) == 2.0
    assert adapted(1.0, 0.01, 0.05) == 0.5
    assert adapted(1.0, 0.05, 0.05) == 1.0


def test_token_rewards_are_the_kl_and_at_the_end_the_verdict():
    mask = torch.tensor([[True, True, True], [True, False, False]])
    old, reference = torch.full((2, 3), -1.0), torch.full((2, 3), -1.5)
    micro = MicroBatch(None, [], mask, old_logprobs=old, ref_logprobs=reference)
    found = token_rewards(micro, torch.tensor([1.0, 0.0]), 0.1)
    expected = torch.tensor([[-0.05, -0.05, 0.95], [-0.05, 0.0, 0.0]])
    torch.testing.assert_close(found, expected)


def test_the_surrogate_takes_an_advantage_for_each_token():
    draw = torch.Generator().manual_seed(3)
    new, old, advantages = (torch.randn(3, 4, generator=draw).double() * 0.3 for _ in range(3))
    new.requires_grad_()
    mask = ragged(3, 4, 4)
    out = policy_loss(new, old, advantages, mask, loss="dapo", epsilon=0.2)
    total = 0.0
    for b, t in itertools.product(range(3), range(4)):
        if mask[b, t]:
            ratio = (new[b, t] - old[b, t]).exp()
            kept = ratio.clamp(0.8, 1.2)
            total = total - torch.minimum(ratio * advantages[b, t], kept * advantages[b, t])
    plain = total / mask.sum()
    assert out.loss.item() == pytest.approx(plain.item(), abs=1e-6)
    [ours], [theirs] = (torch.autograd.grad(x, new) for x in (out.loss, plain))
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-6)


def test_dpo_and_plackett_luce():
    scores = torch.randn(6, 2, generator=torch.Generator().manual_seed(5)).double()
    scores.requires_grad_()
    dpo = preference_loss(scores[:, 0], scores[:, 1])
    torch.testing.assert_close(plackett_luce(scores), dpo, atol=1e-12, rtol=0)
    plain = -torch.log(1 / (1 + torch.exp(-(scores[:, 0] - scores[:, 1]))))
    torch.testing.assert_close(dpo, plain, atol=1e-12, rtol=0)
    [gradient] = torch.autograd.grad(dpo.sum(), scores)
    expected = -torch.sigmoid(scores[:, 1] - scores[:, 0])  # eq. 7's gradient, of the chosen
    torch.testing.assert_close(gradient[:, 0], expected, atol=1e-12, rtol=0)
    four = torch.randn(1, 4, generator=torch.Generator().manual_seed(6)).double()
    orders = [four[:, list(order)] for order in itertools.permutations(range(4))]
    total = sum(float(plackett_luce(order).neg().exp()) for order in orders)
    assert total == pytest.approx(1.0, abs=1e-12)  # the likelihoods of all rankings
    first = float(plackett_luce(four, known=1).neg().exp())
    assert first == pytest.approx(float(four.softmax(1)[0, 0]), abs=1e-12)


def test_steps_are_rewarded_where_their_arithmetic_holds(base):
    tokenizer = load_tokenizer(base)
    text = "The marbles bring 4*3=12.\nThe hats bring 9*6=55.\nZoe gets 12+55=67 dollars.\n#### 67"
    ids = tokenizer.encode(text)
    steps = step_rewards(Completion(text, ids, [0.0] * len(ids), "stop"), 0.0, tokenizer)
    assert [reward for _, reward in steps] == [1.0, 0.0, 1.0, 0.0]
    for end, _ in steps[:-1]:
        assert tokenizer.decode(ids[: end + 1]).endswith("\n")
    assert steps[-1][0] == len(ids) - 1


def test_process_advantages_by_hand():
    members = [[(1, 1.0), (3, 1.0)], [(0, 0.0), (2, 0.0)]]
    found = process_advantages(members, 5)
    unit = 0.5 / (torch.tensor([1.0, 1.0, 0.0, 0.0]).std() + 1e-4)
    assert torch.allclose(found[0], torch.tensor([2.0, 2.0, 1.0, 1.0, 0.0]) * unit)
    assert torch.allclose(found[1], torch.tensor([-2.0, -1.0, -1.0, 0.0, 0.0]) * unit)


def test_conjugate_gradients_solve_a_system():
    matrix = torch.randn(8, 8, generator=torch.Generator().manual_seed(7)).double()
    matrix = matrix @ matrix.T + torch.eye(8)
    target = torch.arange(8.0).double()
    found = conjugate_gradient(lambda v: matrix @ v, target, 20)
    torch.testing.assert_close(matrix @ found, target, atol=1e-6, rtol=0)


def toy_trpo():
    """TRPO on a toy of two layers and twelve tokens, with one rollout's micro-batch."""
    torch.manual_seed(0)
    shape = Qwen2Config(
        vocab_size=12, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
    )  # fmt: skip
    model = Qwen2ForCausalLM(shape)
    model.set_attn_implementation(ATTENTION)
    policy = Policy(add_lora(model, Lora(rank=1, alpha=4), 0).eval(), 1.0)
    for parameter in policy.parameters:
        torch.nn.init.normal_(parameter, std=0.3)
    config = config_of("unused", "unused", algorithm={"name": "trpo"})
    completions = [[Completion("", ids, [-1.0] * len(ids), "stop") for ids in ([3, 4], [5, 6, 7])]]
    rewards = torch.tensor([[1.0, 0.0]])
    rollout = Rollout(
        step=1, seed=0, problems=[None], sources=["toy"], prompts=[[1, 2]], completions=completions, verdicts=[[]], rewards=rewards,
        shaped=rewards, sample_seconds=0, reward_seconds=0,
    )  # fmt: skip
    return Trpo(config, policy, None), pack(rollout, [(0, 0), (0, 1)], "cpu")


def test_the_fisher_product_is_that_of_the_explicit_matrix():
    algorithm, micro = toy_trpo()
    parameters = algorithm.policy.parameters
    log_p = algorithm._distributions(micro)
    size = sum(p.numel() for p in parameters)
    fisher = torch.zeros(size, size, dtype=torch.float64)
    for k, v in itertools.product(range(log_p.shape[0]), range(log_p.shape[1])):
        score = flat(torch.autograd.grad(log_p[k, v], parameters, retain_graph=True)).double()
        fisher += log_p[k, v].exp().item() * torch.outer(score, score) / 5
    product = algorithm.fisher([micro], 5)
    for seed in range(3):
        vector = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        found = product(vector).double()
        expected = fisher @ vector.double()
        torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
