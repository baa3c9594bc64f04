"""A real pretrained model, SmolLM2-135M-Instruct: real tokenizer, chat template and vocabulary."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from app.answers import Answerer
from app.runs import Library
from data import PromptTemplate, load_problems
from eval.result import load_result
from models.loading import load_adapter, load_model, load_tokenizer
from models.packed import PackedGroups
from models.plain import shares_prompts
from sampling import SamplingParams, load_sampler
from sampling.vllm_options import has_vllm
from tests.conftest import config_of
from tests.fork_server import command
from tests.test_families import own_logprobs
from tests.test_sampling import logprob_gap, make_policy, penalising, tokens_of, transformers_greedy
from tests.test_survival import without_times
from train.config import SftConfig, check_config
from train.policy import Policy
from train.records.metrics import read_metrics
from train.run import Run, train
from train.supervised import run_sft

pytestmark = pytest.mark.timeout(900)
QUESTION = "Tom has 12 apples and finds 5 more. How many apples does he have?"
PAID = """
def reward(completion, problem, **context):
    return float(len(completion) % 2)  # no skill asked: groups are mixed
"""


@pytest.fixture(scope="module")
def prompts(smollm2):
    template = PromptTemplate(load_tokenizer(smollm2))
    return [template.encode(p) for p in load_problems("synth:heldout,n=3,levels=1")]


@pytest.fixture(scope="module")
def run(smollm2, tmp_path_factory) -> Path:
    """Three GRPO steps."""
    folder = tmp_path_factory.mktemp("smollm2")
    (folder / "paid.py").write_text(PAID)
    config = grpo(folder / "runs" / "three", smollm2)
    train(Run(config))
    return folder / "runs" / "three"


def grpo(folder, base, **sections):
    paid = str(folder.parent.parent / "paid.py")
    return config_of(
        folder,
        base,
        run={"steps": 3, "save_every": 2},
        rollout={"prompts": 2, "completions": 4},
        sampling={"max_tokens": 12},
        reward={"functions": [{"path": f"{paid}:reward"}]},
        optimizer={"lr": 1e-4},
        **sections,
    )


def test_its_log_probs_and_greedy_answers_are_those_of_transformers(smollm2, prompts):
    plain = AutoModelForCausalLM.from_pretrained(smollm2)
    sampler = load_sampler("torch", smollm2)
    assert shares_prompts(sampler.model)
    groups = sampler.sample(prompts, 2, SamplingParams(1.0, 16, seed=1))
    with torch.inference_mode():
        for prompt, group in zip(prompts, groups, strict=True):
            for c in group:
                gap = own_logprobs(plain, prompt, c.token_ids) - torch.tensor(c.logprobs)
                assert gap.abs().max() < 1e-4
    greedy = [tokens_of(g)[0] for g in sampler.sample(prompts, 1, SamplingParams(0.0, 16))]
    assert greedy == transformers_greedy(plain, prompts, 16)


def test_three_grpo_steps_learn_with_the_samplers_own_log_probs(run):
    steps = read_metrics(run)
    assert [line["step"] for line in steps] == [1, 2, 3]
    assert all(line["sampler_kl"] < 1e-8 for line in steps)
    assert all(line["skipped_steps"] == 0 for line in steps)
    assert any(line["grad_norm"] for line in steps)
    assert steps[2]["kl"] > 0


def test_a_resumed_run_equals_the_uninterrupted_one(run, smollm2):
    resumed = run.with_name("resumed")
    shutil.copytree(run, resumed)
    shutil.rmtree(resumed / "checkpoints" / "step_000003")
    train(Run(grpo(resumed, smollm2), resume=True))
    assert without_times(read_metrics(resumed)) == without_times(read_metrics(run))


@pytest.fixture(scope="module")
def tuned(smollm2, tmp_path_factory) -> Path:
    """A LoRA after two steps of SFT."""
    settings = {
        "run": {"out": str(tmp_path_factory.mktemp("tuned") / "sft"), "steps": 2},
        "model": {"path": smollm2},
        "lora": {"rank": 8, "alpha": 16},
        "data": {"train": "synth:train,n=2,levels=1", "batch": 2},
        "optimizer": {"lr": 2e-3},
    }
    return run_sft(check_config(SftConfig, settings, where="test"))


@pytest.mark.long
def test_sft_lowers_the_loss_and_its_adapter_is_measured(smollm2, tuned, tmp_path):
    first, second = (line["loss"] for line in read_metrics(tuned))
    assert second < first
    done = command(
        *("eval", "--model", smollm2, "--adapter", tuned),
        *("--data", "synth:heldout,n=2,levels=1", "--n", "2", "--k", "1,2"),
        *("--max-tokens", "16", "--out", tmp_path / "eval"),
    )
    assert done.returncode == 0, done.stderr
    results, samples = load_result(tmp_path / "eval")
    assert set(results["pass_at_k"]) == {"1", "2"}
    assert len(samples) == 4


@pytest.mark.long
def test_grpo_starts_as_the_fine_tuned_policy_and_resumes_bit_for_bit(smollm2, tuned, tmp_path):
    (tmp_path / "paid.py").write_text(PAID)
    start = {"path": str(smollm2), "adapter": str(tuned), "reference": "start"}
    sections = {"model": start, "algorithm": {"beta": 0.01}}
    runs = [tmp_path / "runs" / name for name in ("whole", "cut")]
    begun = Run(grpo(tmp_path / "runs" / "first", smollm2, **sections))
    rollout = begun.rollouts.next(1)
    ids = [[c.token_ids for c in group] for group in rollout.completions]
    layout = PackedGroups(rollout.prompts, ids)
    fine_tuned = Policy(load_adapter(load_model(smollm2), tuned, smollm2).eval(), 1.0)
    with torch.no_grad():
        ours, theirs, base = (
            policy.logprobs(layout)[0]
            for policy in (begun.policy, fine_tuned, Policy(load_model(smollm2).eval(), 1.0))
        )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (ours - base).abs().max() > 0.01

    for folder in runs:
        train(Run(grpo(folder, smollm2, **sections)))
    shutil.rmtree(runs[1] / "checkpoints" / "step_000003")
    train(Run(grpo(runs[1], smollm2, **sections), resume=True))
    whole, cut = (without_times(read_metrics(folder)) for folder in runs)
    assert cut == whole
    assert whole[0]["kl"] == pytest.approx(0.0, abs=1e-9)
    assert whole[2]["kl"] > 1e-9
    last = [f / "checkpoints" / "step_000003" / "adapter_model.safetensors" for f in runs]
    assert last[0].read_bytes() == last[1].read_bytes()


@pytest.mark.long
def test_the_app_answers_with_the_base_and_a_checkpoint(run):
    found = Library(run.parent).choices()
    base, checkpoint = (
        next(c for c in found.values() if c.run == "three" and (c.adapter is not None) == adapted)
        for adapted in (False, True)
    )
    answerer = Answerer()
    *_, last = answerer.stream(QUESTION, [base, checkpoint], 0.0, 0)
    for choice, answer in zip([base, checkpoint], last, strict=True):
        with load_sampler("torch", choice.model, adapter=choice.adapter) as sampler:
            [[wanted]] = sampler.sample([answer.prompt], 1, SamplingParams(0.0, choice.max_tokens))
        assert answer.completion.token_ids == wanted.token_ids
    assert "5" in last[0].completion.text
    assert "assistant" in answerer.prompt_text(QUESTION, base)  # the model's own chat template


@pytest.mark.long
@pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform")
@pytest.mark.parametrize("backend", ["vllm", "vllm-server"])
def test_vllm_writes_what_the_policy_would(backend, smollm2, prompts, tmp_path):
    policy = make_policy(smollm2, 3)
    embedded = load_sampler("torch", policy.model, tokenizer=load_tokenizer(smollm2))
    options = {"max_lora_rank": 8, "max_model_len": 256, "enforce_eager": True}
    asks_penalties = penalising(Path(smollm2), tmp_path / "base")
    log = tmp_path / "log"
    with load_sampler(backend, asks_penalties, adapter=policy, log=log, **options) as sampler:
        groups = sampler.sample(prompts, 4, SamplingParams(1.0, 24, seed=1))
        assert logprob_gap(policy, prompts, groups) < 1e-4
        greedy = [*map(tokens_of, sampler.sample(prompts, 1, SamplingParams(0.0, 24)))]
    assert greedy == [*map(tokens_of, embedded.sample(prompts, 1, SamplingParams(0.0, 24)))]
