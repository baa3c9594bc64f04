"""In bfloat16: the fused LoRA layers err no more than PEFT's, and sampler and trainer share a head."""

import torch

from models.packed import PackedGroups
from models.selftest import choose_path
from models.tiny import tiny_tokenizer
from sampling import SamplingParams, load_sampler
from tests.families import small
from tests.test_sampling import shake
from train.config.sections import Lora
from train.policy import Policy, add_lora

SIZES = {"hidden_size": 128, "head_dim": 32, "intermediate_size": 256}


def model_in(dtype):
    return choose_path("llama", small("llama", **SIZES).to(dtype))


def tokens(count, draw):
    return torch.randint(5, 90, (count,), generator=draw).tolist()


def gradient(dtype):
    """Of a sum of log-probs with advantages, for an adapter that does something."""
    lora = add_lora(model_in(dtype), Lora(rank=8, alpha=16), 0)
    draw = torch.Generator().manual_seed(3)
    for name, weight in lora.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=draw) * 0.05
    prompts = [tokens(20, draw) for _ in range(4)]
    groups = [[tokens(30, draw) for _ in range(4)] for _ in prompts]
    logprobs, _ = Policy(lora.eval(), 1.0).logprobs(PackedGroups(prompts, groups))
    (logprobs * torch.randn(16, 1, generator=draw)).sum().backward()
    return torch.cat([p.grad.flatten() for p in lora.parameters() if p.grad is not None])


def test_the_fused_layers_err_no_more_than_pefts_own(monkeypatch):
    truth, fused = gradient(torch.float32), gradient(torch.bfloat16)
    monkeypatch.setattr("train.policy.policy.speed_up", lambda lora: lora)
    assert (gradient(torch.float32) - truth).norm() < 1e-5 * truth.norm()
    peft = gradient(torch.bfloat16)
    assert abs(float(fused.norm() / peft.norm()) - 1) < 0.002
    assert (fused - truth).norm() < 1.1 * (peft - truth).norm() < 0.05 * truth.norm()


def test_with_a_float32_head_sampler_and_trainer_say_the_same_log_probs():
    lora = add_lora(model_in(torch.bfloat16), Lora(rank=8, alpha=16), 0).eval()
    shake(lora, 1)
    prompts, gaps = [[5, 9, 30, 41], [7, 8, 80, 33, 21, 60, 11]], {}
    for sampler_has in (False, True):
        sampler = load_sampler(
            "torch", lora, tokenizer=tiny_tokenizer(["one and two"]), float32_head=sampler_has
        )
        groups = sampler.sample(prompts, 16, SamplingParams(1.0, 1, seed=1))
        layout = PackedGroups(prompts, [[c.token_ids for c in g] for g in groups])
        said = torch.tensor([x for g in groups for c in g for x in c.logprobs])
        for trainer_has in (False, True):
            with torch.no_grad():
                policy = Policy(lora, 1.0, float32_head=trainer_has)
                ours, _ = policy.logprobs(layout)
            gaps[sampler_has, trainer_has] = float((ours[layout.mask] - said).abs().max())
    assert gaps[True, True] < 1e-5
    assert min(gaps[True, False], gaps[False, True]) > 1e-3
