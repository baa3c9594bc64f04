"""Every family is computed as transformers computes it: packed where proved, else its own way."""

import contextlib

import pytest
import torch
from transformers import AutoModelForCausalLM

from common.errors import UserError
from models.head import head_of
from models.packed import ATTENTION, PackedGroups
from models.plain import CACHE_PROVED, shares_prompts, states_of
from models.selftest import choose_path
from models.tiny import save_base, tiny_tokenizer
from sampling import SamplingParams, load_sampler
from tests.families import FAMILIES, small
from tests.test_sampling import shake
from train.config.sections import Lora
from train.policy import Policy, add_lora
from train.policy.logprobs import token_logprobs

PACKED = """
    llama qwen2 qwen3 qwen3_moe smollm3 olmo olmo2 glm gemma mixtral granite cohere phi gpt_neox
    deepseek_v3 gpt2 opt
""".split()
REFUSED = ["recurrent_gemma"]  # caps its logits by a setting of its own name


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(["one and two is three"] * 20)


def own_logprobs(model, prompt, tokens, temperature=1.0):
    logits = model(torch.tensor([prompt + tokens[:-1]])).logits[0, len(prompt) - 1 :].float()
    return (logits / temperature).log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind not in REFUSED])
def test_a_family_is_trained_and_sampled_as_its_own_forward_computes(kind, tokenizer):
    reference = small(kind)
    if kind == "gemma2":  # transformers' default leaves the cap of its attention out
        reference.set_attn_implementation("eager")
    model = choose_path(kind, small(kind))
    assert shares_prompts(model) == (kind in PACKED)
    sampler = load_sampler("torch", model, tokenizer=tokenizer)
    prompts = [[5, 9, 30, 41], [7, 8, 80, 33, 21, 60, 11], [9, 9, 9, 14]]
    groups = sampler.sample(prompts, 3, SamplingParams(1.0, 24, seed=4))
    layout = PackedGroups(prompts, [[c.token_ids for c in group] for group in groups])
    states = states_of(model, layout)[layout.predictors[layout.mask]]
    ours, _ = token_logprobs(states, head_of(model), layout.targets[layout.mask])
    sampled = torch.tensor([x for g in groups for c in g for x in c.logprobs])
    wanted = torch.cat(
        [own_logprobs(reference, p, c.token_ids) for p, g in zip(prompts, groups) for c in g]  # noqa: B905
    )
    assert (ours - wanted).abs().max() < 1e-4
    assert (sampled - wanted).abs().max() < 1e-4
    assert len({tuple(c.token_ids) for g in groups for c in g}) > 3


@pytest.mark.parametrize("kind", ["llama", "granite", "mistral"])
def test_a_familys_gradient_is_that_of_its_own_forward(kind):
    prompt, tokens = [5, 9, 30], [[7, 8, 80, 33, 21, 60, 11, 14, 17, 31], [9, 14, 20]]
    found = []
    for model in (choose_path(kind, small(kind)), small(kind)):
        lora = add_lora(model, Lora(rank=4, alpha=8), 0)
        if shares_prompts(model) or not found:
            layout = PackedGroups([prompt], [tokens])
            logprobs, _ = Policy(lora.eval(), 1.0).logprobs(layout)
            loss = logprobs.sum()
        else:
            loss = sum(own_logprobs(lora, prompt, t).sum() for t in tokens)
        loss.backward()
        found.append(torch.cat([p.grad.flatten() for p in lora.parameters() if p.grad is not None]))
    assert found[0].norm() > 0
    assert (found[0] - found[1]).norm() < 1e-4 * found[1].norm()


@pytest.mark.parametrize("kind", ["llama", "mistral", "bloom"])
def test_adapters_are_sampled_streamed_and_scored_on_either_path(kind, tokenizer, tmp_path):
    save_base(tmp_path / "base", small(kind, vocab_size=len(tokenizer)), tokenizer)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    lora = add_lora(plain, Lora(rank=4, alpha=8), 0)
    shake(lora, 1)
    lora.save_pretrained(tmp_path / "adapter")
    sampler = load_sampler("torch", tmp_path / "base", adapter=tmp_path / "adapter")
    assert shares_prompts(sampler.model) == (kind in PACKED)
    prompt, adapters = [5, 9, 30, 41], [None, tmp_path / "adapter"]
    *_, [of_base, of_adapter] = sampler.stream(prompt, adapters, SamplingParams(0.8, 20, seed=2))
    [[sampled]] = sampler.sample([prompt], 1, SamplingParams(0.8, 20, seed=2))
    assert sampled.token_ids == of_adapter.token_ids
    with torch.inference_mode():
        for adapter, answer in ((None, of_base), (tmp_path / "adapter", of_adapter)):
            with contextlib.nullcontext() if adapter else lora.disable_adapter():
                wanted = own_logprobs(lora, prompt, answer.token_ids)
                hot = own_logprobs(lora, prompt, answer.token_ids, 0.8)
            scored = torch.tensor(sampler.score(prompt, answer.token_ids, adapter))
            assert (scored - wanted).abs().max() < 1e-4
            assert (torch.tensor(answer.logprobs) - hot).abs().max() < 1e-4
    assert of_base.token_ids != of_adapter.token_ids


def test_a_cache_that_errs_is_not_used(tokenizer):
    for errs in (False, True):
        model = small("mistral")
        if errs:
            old = model.model.forward
            model.model.forward = lambda *a, past_key_values=None, _old=old, **k: _old(*a, **k)
        model = choose_path("model", model)
        assert getattr(model, CACHE_PROVED) == (not errs)
        sampler = load_sampler("torch", model, tokenizer=tokenizer)
        [[found]] = sampler.sample([[5, 9, 30]], 1, SamplingParams(1.0, 12, seed=1))
        wanted = own_logprobs(small("mistral"), [5, 9, 30], found.token_ids)
        assert (wanted - torch.tensor(found.logprobs)).abs().max() < 1e-4


@pytest.mark.parametrize("kind", REFUSED)
def test_a_family_whose_logits_are_not_understood_is_refused_in_one_line(kind):
    with pytest.raises(UserError, match=r"not made of its last hidden states") as said:
        choose_path(kind, small(kind))
    assert "\n" not in str(said.value)


def test_logits_that_are_made_in_an_unknown_way_are_refused_in_one_line():
    model = small("llama")
    model.lm_head.register_forward_hook(lambda _module, _inputs, out: out * 3.0)
    with pytest.raises(UserError, match=r"not made of its last hidden states"):
        choose_path("model", model)


def test_an_attention_that_packing_gets_wrong_takes_the_plain_path():
    model = small("llama")
    for layer in model.model.layers:
        layer.self_attn.layer_idx = 0  # unseen by packing
        old = layer.self_attn.forward
        layer.self_attn.forward = lambda *a, _old=old, **k: (
            lambda out: (out[0].cumsum(1), out[1])
        )(_old(*a, **k))  # sees tokens in their order, whoever's they are
    assert not shares_prompts(choose_path("model", model))
    assert shares_prompts(choose_path("model", small("llama")))


def test_long_completions_need_no_mask_and_give_the_same(monkeypatch):
    model = choose_path("llama", small("llama"))
    assert model.config._attn_implementation == ATTENTION
    layout = [[5, 9, 30, 41], [7] * 9], [[[7] * 30, [8, 9, 10]], [[11] * 12, [3]]]
    before = states_of(model, PackedGroups(*layout))
    monkeypatch.setattr("models.packed.LONGEST_MASK", 64)
    long = PackedGroups(*layout)
    assert torch.allclose(states_of(model, long), before, atol=1e-5)
    assert long._allowed is None


def test_bfloat16_layers_with_float32_adapters_take_the_short_way(monkeypatch):
    found = {}
    for short in (True, False):
        model = small("llama").bfloat16()
        if not short:
            monkeypatch.setattr("train.policy.policy.speed_up", lambda lora: lora)
        lora = add_lora(choose_path("llama", model), Lora(rank=4, alpha=8), 0)
        torch.manual_seed(1)
        for name, weight in lora.named_parameters():
            if "lora_" in name:
                weight.data = torch.randn(weight.shape) * 0.1
        logprobs, _ = Policy(lora.eval(), 1.0).logprobs(PackedGroups([[5, 9, 30]], [[[7, 8, 80]]]))
        logprobs.sum().backward()
        grads = [p.grad for p in lora.parameters() if p.grad is not None]
        assert all(g.dtype == torch.float32 for g in grads)
        found[short] = torch.cat([g.flatten() for g in grads])
        layer = lora.base_model.model.model.layers[0].mlp.down_proj
        out = layer(torch.ones(1, 64, dtype=torch.bfloat16, requires_grad=True))
        fused = "_Lora" in str(out.grad_fn.next_functions) + str(out.grad_fn)
        assert fused == short
    cosine = torch.nn.functional.cosine_similarity(found[True], found[False], dim=0)
    assert cosine > 0.999
