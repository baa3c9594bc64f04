"""Both samplers write what the policy would write, with the policy's own log-probs."""

import itertools
import json
import subprocess
import sys

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from common.errors import UserError
from data import PromptTemplate, synthesize
from models.loading import load_model, load_tokenizer
from models.packed import PackedGroups
from sampling import SamplingParams, load_sampler
from sampling.vllm_options import has_vllm, visible_devices
from train.config.sections import Lora
from train.policy import Policy, add_lora


def prompts_for(tokenizer, n=12):
    template = PromptTemplate(tokenizer)
    return [template.encode(p.question) for p in synthesize(n, seed=4, split="heldout")]


def make_policy(base, seed, temperature=1.0) -> Policy:
    """A policy whose adapter is far from the base."""
    model = add_lora(load_model(base), Lora(rank=8, alpha=16), 0)
    shake(model, seed)
    return Policy(model.eval(), temperature)


def shake(model, seed):
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.05 * torch.randn(weight.shape, generator=draw))


def logprob_gap(policy, prompts, groups) -> float:
    """The largest difference between the sampler's log-probs and the policy's."""
    layout = PackedGroups(prompts, [[c.token_ids for c in group] for group in groups])
    with torch.no_grad():
        ours, _ = policy.logprobs(layout)
    sampled = torch.tensor([x for g in groups for c in g for x in c.logprobs])
    return float((ours[layout.mask] - sampled).abs().max())


def penalising(base, folder):
    """The base once more, with a generation configuration as instruct models have it."""
    folder.mkdir()
    for file in base.iterdir():
        (folder / file.name).symlink_to(file)
    file = folder / "generation_config.json"
    asked = json.loads(file.read_text()) if file.exists() else {}
    file.unlink(missing_ok=True)  # the link, not the base's own
    asked |= {"repetition_penalty": 1.3, "temperature": 0.6, "top_k": 20, "top_p": 0.8}
    file.write_text(json.dumps(asked | {"do_sample": True}))
    return folder


def tokens_of(group):
    return [c.token_ids for c in group]


def first_token_agreement(sampler, prompts, n, seed) -> tuple[float, float]:
    """How much oftener two prompts' completions begin alike at one place of the group than at
    neighbouring places, and the standard error of that; 0 where prompts are independent."""
    groups = sampler.sample(prompts, n, SamplingParams(1.5, 1, seed=seed))
    first = torch.tensor([[c.token_ids[0] for c in group] for group in groups])  # [P, N]
    same_place = (first[:, None] == first[None]).float()  # [P, P, N]
    pairs = same_place[torch.triu_indices(len(prompts), len(prompts), 1).unbind()]  # [pairs, N]
    shifted = (first[:, None] == first.roll(1, 1)[None]).float()
    other = shifted[torch.triu_indices(len(prompts), len(prompts), 1).unbind()]
    gap = pairs.mean(0) - other.mean(0)
    return float(gap.mean()), float(gap.std() / n**0.5)


def transformers_greedy(model, prompts, tokens):
    """What transformers.generate writes, prompt by prompt."""
    return [
        model.generate(
            torch.tensor([p]),
            attention_mask=torch.ones(1, len(p), dtype=torch.long),
            max_new_tokens=tokens,
            do_sample=False,
        )[0, len(p) :].tolist()
        for p in prompts
    ]


def test_greedy_torch_equals_transformers_generate(base):
    plain = AutoModelForCausalLM.from_pretrained(base)
    sampler = load_sampler("torch", base)
    prompts = prompts_for(sampler.tokenizer)
    ours = [group[0].token_ids for group in sampler.sample(prompts, 1, SamplingParams(0.0, 40))]
    assert ours == transformers_greedy(plain, prompts, 40)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_torch_logprobs_are_the_policys(base, temperature):
    policy = make_policy(base, 1, temperature)
    sampler = load_sampler("torch", policy.model, tokenizer=load_tokenizer(base))
    prompts = prompts_for(sampler.tokenizer)
    groups = sampler.sample(prompts, 6, SamplingParams(temperature, 40, seed=3))
    assert logprob_gap(policy, prompts, groups) < 1e-4
    policy.temperature = 1.7 - temperature
    assert logprob_gap(policy, prompts, groups) > 0.01  # the check sees a wrong temperature
    policy.temperature = temperature
    shake(policy.model, 2)
    assert logprob_gap(policy, prompts, groups) > 0.01  # and a stale adapter


def test_a_merged_adapter_would_be_noticed(base):
    policy = make_policy(base, 1)
    prompts = prompts_for(load_tokenizer(base))
    merged = make_policy(base, 1).model.merge_and_unload()
    for weight in merged.parameters():  # as a sampler does that keeps its weights in bfloat16
        weight.data = weight.data.to(torch.bfloat16).to(torch.float32)
    sampler = load_sampler("torch", merged, tokenizer=load_tokenizer(base))
    groups = sampler.sample(prompts, 6, SamplingParams(1.0, 40, seed=3))
    assert logprob_gap(policy, prompts, groups) > 1e-3


def test_stop_strings_end_a_completion_and_stay_out_of_its_text(base):
    sampler = load_sampler("torch", base)
    prompts = prompts_for(sampler.tokenizer)
    plain = sampler.sample(prompts, 4, SamplingParams(1.0, 40, seed=7))
    stopped = sampler.sample(prompts, 4, SamplingParams(1.0, 40, seed=7, stop=("=", "zzz")))
    pairs = zip(itertools.chain(*plain), itertools.chain(*stopped), strict=True)
    for whole, cut in pairs:
        assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]
        assert cut.text == whole.text.split("=")[0]
        assert len(cut.logprobs) == len(cut.token_ids)
        if "=" in whole.text:
            assert cut.finish_reason == "stop"
            assert "=" in sampler.tokenizer.decode(cut.token_ids)
            assert "=" not in sampler.tokenizer.decode(cut.token_ids[:-1])


def test_the_same_seed_gives_the_same_tokens_in_any_batch(base):
    sampler = load_sampler("torch", base)
    prompts = prompts_for(sampler.tokenizer)
    together = sampler.sample(prompts, 4, SamplingParams(1.0, 40, seed=7))
    alone = [sampler.sample([p], 4, SamplingParams(1.0, 40, seed=7))[0] for p in prompts]
    assert [[c.token_ids for c in g] for g in together] == [[c.token_ids for c in g] for g in alone]
    other = sampler.sample(prompts, 4, SamplingParams(1.0, 40, seed=8))
    assert together != other
    assert len({tuple(c.token_ids) for g in together for c in g}) > len(prompts)


def test_a_prompt_that_occurs_twice_gets_other_completions_the_second_time(base):
    sampler = load_sampler("torch", base, max_batch=8)  # the second occurrence in another batch
    first, other, third = prompts_for(sampler.tokenizer, 3)
    asked = SamplingParams(1.0, 40, seed=7)
    once, _, twice, _ = sampler.sample([first, other, first, third], 4, asked)
    assert tokens_of(once) != tokens_of(twice)
    assert tokens_of(once) == tokens_of(sampler.sample([first], 4, asked)[0])
    assert tokens_of(twice) == tokens_of(sampler.sample([third, first, first], 4, asked)[2])


def test_samples_follow_the_models_distribution(base):
    sampler = load_sampler("torch", base)
    prompt = prompts_for(sampler.tokenizer, 1)[0] + sampler.tokenizer.encode(" The")
    first = [
        c.token_ids[0] for c in sampler.sample([prompt], 400, SamplingParams(1.5, 1, seed=1))[0]
    ]
    logits = AutoModelForCausalLM.from_pretrained(base)(torch.tensor([prompt])).logits[0, -1]
    probs = (logits.detach() / 1.5).softmax(-1)
    top = int(probs.argmax())
    share = first.count(top) / len(first)
    assert share == pytest.approx(float(probs[top]), abs=0.09)


def test_top_k_and_top_p_cut_the_tail_and_renormalise(base):
    sampler = load_sampler("torch", base)
    prompts = prompts_for(sampler.tokenizer, 4)
    greedy = sampler.sample(prompts, 1, SamplingParams(0.0, 20))
    cut = sampler.sample(prompts, 3, SamplingParams(1.0, 20, seed=1, top_k=1))
    assert all(c.token_ids == g[0].token_ids for g, cs in zip(greedy, cut, strict=True) for c in cs)
    assert all(x == pytest.approx(0.0, abs=1e-6) for cs in cut for c in cs for x in c.logprobs)
    nucleus = sampler.sample(prompts, 3, SamplingParams(1.0, 20, seed=1, top_p=1e-6))
    assert [c.token_ids for g in nucleus for c in g] == [c.token_ids for g in cut for c in g]


def test_truncation_is_said_and_too_long_prompts_are_refused(base):
    sampler = load_sampler("torch", base)
    [[completion]] = sampler.sample(prompts_for(sampler.tokenizer, 1), 1, SamplingParams(1.0, 3))
    assert completion.finish_reason == "length"
    assert len(completion.token_ids) == len(completion.logprobs) == 3
    with pytest.raises(UserError, match="context holds 1024"):
        sampler.sample([[5] * 1024], 1)


def test_streaming_grows_to_what_sampling_gives(base, finished_run):
    checkpoint = finished_run / "checkpoints" / "step_000004"
    sampler = load_sampler("torch", base)
    prompt = prompts_for(sampler.tokenizer, 1)[0]
    frames = list(sampler.stream(prompt, [None, checkpoint], SamplingParams(0.0, 40)))
    assert len(frames) > 3
    for adapter, streamed in zip([None, checkpoint], frames[-1], strict=True):
        sampler.update_adapter(adapter)
        assert (
            streamed.token_ids
            == sampler.sample([prompt], 1, SamplingParams(0.0, 40))[0][0].token_ids
        )


def test_a_checkpoint_loads_in_plain_peft_with_the_same_greedy_answers(base, finished_run):
    checkpoint = finished_run / "checkpoints" / "step_000004"
    sampler = load_sampler("torch", base, adapter=checkpoint)
    prompts = prompts_for(sampler.tokenizer)
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), checkpoint)
    ours = [group[0].token_ids for group in sampler.sample(prompts, 1, SamplingParams(0.0, 40))]
    assert ours == transformers_greedy(plain, prompts, 40)


def test_the_tokenizer_is_a_normal_one(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    text = "Tom has 12+30=42 apples.\n#### 42 — é½"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("42")) == ["4", "2"]


def test_an_engine_sees_only_the_devices_it_is_given(monkeypatch):
    def seen():
        script = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    with visible_devices([1, 2]):
        assert seen() == "5,6\n"
    with visible_devices(None):
        assert seen() == "4,5,6\n"
    with pytest.raises(UserError, match="only 3 GPUs are visible"), visible_devices([3]):
        pass
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with visible_devices([1]):
        assert seen() == "1\n"
    assert seen() == "None\n"


@pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform")
@pytest.mark.timeout(420)
def test_vllm_serves_the_adapter_at_hand_with_the_policys_logprobs(base, finished_run, tmp_path):
    policy = make_policy(base, 0)
    embedded = load_sampler("torch", policy.model, tokenizer=load_tokenizer(base))
    prompts = prompts_for(embedded.tokenizer, 16)
    options = {"max_lora_rank": 8, "max_model_len": 256, "enforce_eager": True}
    options["log"] = tmp_path / "vllm.log"
    with load_sampler("vllm", penalising(base, tmp_path / "base"), **options) as sampler:
        for seed in (1, 2, 3):
            shake(policy.model, seed)
            sampler.update_adapter(policy)
            for temperature in (1.0, 0.7):
                policy.temperature = temperature
                groups = sampler.sample(prompts, 4, SamplingParams(temperature, 40, seed=seed))
                assert logprob_gap(policy, prompts, groups) < 1e-4
        asked = SamplingParams(0.7, 40, seed=3)
        again = sampler.sample(prompts, 4, asked)
        assert [*map(tokens_of, again)] == [*map(tokens_of, groups)]
        once, twice = sampler.sample([prompts[2], prompts[2]], 4, asked)
        assert tokens_of(once) == tokens_of(groups[2])
        assert tokens_of(twice) != tokens_of(once)
        for one in (sampler, embedded):  # two prompts are sampled independently
            excess, error = first_token_agreement(one, prompts, 32, seed=1)
            assert abs(excess) < 3 * error + 1e-3
        many = prompts_for(sampler.tokenizer, 80)  # more tokens than one scheduler step takes
        groups = sampler.sample(many, 4, SamplingParams(0.7, 40, seed=4))
        assert logprob_gap(policy, many, groups) < 1e-4
        greedy = [g[0].token_ids for g in sampler.sample(prompts, 1, SamplingParams(0.0, 40))]
        assert greedy == [
            g[0].token_ids for g in embedded.sample(prompts, 1, SamplingParams(0.0, 40))
        ]

        checkpoint = finished_run / "checkpoints" / "step_000004"
        sampler.update_adapter(checkpoint)
        served = [g[0].token_ids for g in sampler.sample(prompts, 1, SamplingParams(0.0, 40))]
        own = load_sampler("torch", base, adapter=checkpoint)
        assert served == [g[0].token_ids for g in own.sample(prompts, 1, SamplingParams(0.0, 40))]
