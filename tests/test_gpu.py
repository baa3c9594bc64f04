"""What only a GPU shows. Needs one CUDA GPU of Ampere or later with 8 GiB free; `make test-gpu`.

All other tests hide the GPUs: they hold on any machine, in float32, on the CPU. The engine's tests
need vLLM's CUDA build too (`GPU=1 make setup`).
"""

import pytest
import torch

from models.loading import load_model, load_tokenizer
from models.packed import ATTENTION, FUSED, PackedGroups, hidden_states
from models.selftest import choose_path
from sampling import SamplingParams, load_sampler
from sampling.vllm_options import has_vllm
from tests.conftest import config_of
from tests.families import small
from tests.test_sampling import logprob_gap, make_policy, prompts_for
from train.config.sections import Lora
from train.policy import Policy, add_lora
from train.records.metrics import read_metrics
from train.run import Run, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not torch.cuda.is_available() or torch.cuda.get_device_capability()[0] < 8,
        reason="needs a GPU of Ampere or later, and MATHGRPO_TEST_GPU=1 (make test-gpu)",
    ),
]
needs_vllm = pytest.mark.skipif(not has_vllm(), reason="vLLM's CUDA build is not installed")
SIZES = {"hidden_size": 256, "head_dim": 64, "intermediate_size": 512}


def model_on_gpu(dtype=torch.bfloat16, kind="llama", **more):
    return choose_path(kind, small(kind, **SIZES, **more).to("cuda", dtype))


def random_groups(prompt, tokens, n):
    draw = torch.Generator().manual_seed(0)

    def some(count):
        return torch.randint(5, 90, (count,), generator=draw).tolist()

    return [some(prompt), some(prompt // 2)], [[some(tokens - i) for i in range(n)]] * 2


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_flash_attention_takes_the_packed_sequences_and_agrees(kind):
    model = model_on_gpu(kind=kind)
    assert model.config._attn_implementation == FUSED
    layout = PackedGroups(*random_groups(40, 60, 4), "cuda")
    states = {}
    for way in (FUSED, ATTENTION):
        model.set_attn_implementation(way)
        states[way] = hidden_states(model, layout.ids, layout.positions, layout).float()
    gap = (states[FUSED] - states[ATTENTION]).norm() / states[ATTENTION].norm()
    assert gap < 0.02


def test_memory_of_a_pass_grows_linearly_with_the_answers():
    model = add_lora(model_on_gpu(max_position_embeddings=40_000), Lora(rank=8), 0)
    policy, peaks = Policy(model, 1.0), []
    for tokens in (2_000, 8_000, 32_000):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        logprobs, _ = policy.logprobs(PackedGroups([[5] * 100], [[[7] * tokens] * 2], "cuda"))
        logprobs.sum().backward()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[2] - peaks[1] < 1.2 * 4 * (peaks[1] - peaks[0])


def test_the_torch_sampler_says_the_policys_log_probs(base):
    policy = Policy(add_lora(load_model(base, dtype="float32"), Lora(rank=8), 0).eval(), 1.0)
    sampler = load_sampler("torch", policy.model, tokenizer=load_tokenizer(base))
    prompts = prompts_for(sampler.tokenizer)
    groups = sampler.sample(prompts, 4, SamplingParams(1.0, 40, seed=1))
    layout = PackedGroups(prompts, [[c.token_ids for c in g] for g in groups], "cuda")
    with torch.no_grad():
        ours, _ = policy.logprobs(layout)
    said = torch.tensor([x for g in groups for c in g for x in c.logprobs], device="cuda")
    assert (ours[layout.mask] - said).abs().max() < 1e-3  # TF32 off; kernels differ by shape


@needs_vllm
def test_sleep_gives_the_engines_memory_back_and_what_wakes_samples_as_before(base):
    options = {"max_model_len": 256, "gpu_memory_utilization": 0.5, "enable_sleep_mode": True}
    with load_sampler("vllm", base, **options) as sampler:
        prompts, asked = prompts_for(sampler.tokenizer), SamplingParams(1.0, 40, seed=1)
        before = sampler.sample(prompts, 4, asked)
        free, total = torch.cuda.mem_get_info()
        sampler.sleep()
        assert torch.cuda.mem_get_info()[0] - free > 0.3 * total
        sampler.wake()
        assert sampler.sample(prompts, 4, asked) == before


@needs_vllm
@pytest.mark.parametrize("sleep", [False, True])
def test_a_run_in_bfloat16_with_vllm_keeps_sampler_and_trainer_together(base, tmp_path, sleep):
    config = config_of(
        tmp_path / "r",
        base,
        model={"dtype": "bfloat16"},
        sampling={"backend": "vllm", "sleep": sleep},
    )
    train(Run(config))
    assert all(line["sampler_kl"] < 0.01 for line in read_metrics(tmp_path / "r"))


@needs_vllm
def test_vllm_in_float32_says_the_policys_log_probs(base):
    policy = make_policy(base, 1)
    policy.model.cpu().float()
    options = {"dtype": "float32", "max_model_len": 256, "gpu_memory_utilization": 0.4}
    with load_sampler("vllm", base, adapter=policy, **options) as sampler:
        prompts = prompts_for(sampler.tokenizer)
        groups = sampler.sample(prompts, 4, SamplingParams(1.0, 40, seed=1))
    assert logprob_gap(policy, prompts, groups) < 1e-2
