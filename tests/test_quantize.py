"""QLoRA: the base in 4 bits computes and teaches as its own values written out do."""

import importlib.util

import pytest
import torch

from common.errors import UserError
from models.loading import load_model
from models.packed import PackedGroups
from models.plain import shares_prompts
from models.quantize import BYTES
from models.tiny import save_base, tiny_tokenizer
from sampling import SamplingParams, load_sampler
from tests.families import small
from tests.test_sampling import logprob_gap, shake
from train.config.sections import Lora
from train.policy import Policy, add_lora

HAS = importlib.util.find_spec("bitsandbytes") is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("base")
    tokenizer = tiny_tokenizer(["one and two is three"] * 20)
    sizes = {"hidden_size": 128, "head_dim": 32, "intermediate_size": 256}
    save_base(made, small("llama", vocab_size=len(tokenizer), **sizes), tokenizer)
    return made, tokenizer


@pytest.mark.skipif(HAS, reason="bitsandbytes is installed")
def test_without_bitsandbytes_it_is_one_clear_line(folder):
    with pytest.raises(UserError, match=r"pip install 'mathgrpo\[qlora\]'"):
        load_model(folder[0], quantize="nf4")


def test_another_kind_is_refused(folder):
    with pytest.raises(UserError, match="knows nf4, not 'int3'"):
        load_model(folder[0], quantize="int3")


@pytest.mark.skipif(not HAS, reason="bitsandbytes is not installed (the extra 'qlora')")
def test_a_base_in_4_bits_agrees_with_its_values_written_out(folder):
    import bitsandbytes

    base, tokenizer = folder
    quantized = load_model(base, dtype="float32", quantize="nf4")
    assert shares_prompts(quantized)
    written_out = load_model(base, dtype="float32")
    with torch.no_grad():
        for name, layer in quantized.named_modules():
            if isinstance(layer, bitsandbytes.nn.Linear4bit):
                values = bitsandbytes.functional.dequantize_4bit(
                    layer.weight.data, layer.weight.quant_state
                )
                weight = written_out.get_submodule(name).weight
                assert not torch.equal(values, weight)
                assert layer.weight.data.nbytes <= BYTES * weight.numel()
                weight.copy_(values)
    prompts, found = [[5, 9, 30, 41], [7, 8, 80]], []
    for model in (quantized, written_out):
        policy = Policy(add_lora(model, Lora(rank=4, alpha=8), 0).eval(), 1.0)
        shake(policy.model, 1)
        sampler = load_sampler("torch", policy.model, tokenizer=tokenizer)
        groups = sampler.sample(prompts, 3, SamplingParams(1.0, 16, seed=1))
        assert logprob_gap(policy, prompts, groups) < 1e-4
        layout = PackedGroups(prompts, [[[7, 8, 9, 10]], [[11, 12], [13]]])
        logprobs, _ = policy.logprobs(layout)
        logprobs.sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in policy.parameters]))
        found.append(logprobs.detach())
    gradient, logprobs, own_gradient, own_logprobs = found
    assert (logprobs - own_logprobs).abs().max() < 1e-4
    assert (gradient - own_gradient).norm() < 1e-4 * own_gradient.norm()
