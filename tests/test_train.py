"""Training does what the configuration says, keeps what it did, and survives being killed."""

import json
import tomllib

import pandas
import pytest
import torch

from common.files import write_text
from data import Mixture, PromptTemplate, synthesize
from eval.compare import compare
from eval.result import load_result
from models.head import Head
from models.loading import load_model, load_tokenizer
from tests.conftest import config_of
from tests.fork_server import ROOT
from train.advantages import group_advantages
from train.algorithms.grpo import Grpo, GrpoSettings
from train.config import SftConfig, TrainConfig, check_config, load_config, to_toml
from train.config.sections import Lora
from train.losses import Normalizer, policy_loss
from train.policy import Policy, add_lora
from train.policy.logprobs import token_logprobs
from train.records.metrics import read_metrics
from train.run import Run, train
from train.supervised import run_sft
from train.update import update

KEYS = [
    "step",
    "loss",
    "reward/mean",
    "reward/std",
    "groups/all_right",
    "groups/all_wrong",
    "kl",
    "entropy",
    "clip_fraction",
    "ratio/mean",
    "ratio/max",
    "sampler_kl",
    "grad_norm",
    "lr",
    "completion/mean_tokens",
    "completion/truncated",
    "time/sample_s",
    "time/reward_s",
    "time/train_s",
    "tokens_per_s",
    "memory_gib",
]


def test_a_run_leaves_everything_the_design_names(finished_run):
    metrics = read_metrics(finished_run)
    assert [line["step"] for line in metrics] == [1, 2, 3, 4]
    assert all(set(KEYS) <= set(line) for line in metrics)
    assert all(line["sampler_kl"] < 1e-8 for line in metrics if line["sampler_kl"] is not None)
    rollout = pandas.read_parquet(finished_run / "rollouts" / "step_000002.parquet")
    assert len(rollout) == 64
    assert set(rollout["reward"]) <= {0, 1}
    step = next(line for line in metrics if line["step"] == 2)
    assert step["reward/mean"] == pytest.approx(rollout["reward"].mean())
    names = {path.name for path in (finished_run / "checkpoints" / "step_000004").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "trainer_state.pt"} <= names
    assert (finished_run / "eval" / "synth-heldout" / "step_000004" / "results.json").is_file()
    assert list((finished_run / "tensorboard").iterdir())
    assert not list(finished_run.glob("**/.*.tmp"))


def test_training_raises_the_reward(base, tmp_path):
    """On the problems it trains on: a base of half a minute generalises too little for others."""
    config = config_of(
        tmp_path / "r",
        base,
        run={"steps": 40},
        lora={"rank": 32, "alpha": 64},
        rollout={"prompts": 32},
        algorithm={"beta": 0.0},
        eval={"data": "synth:train,n=200,levels=1", "every": 40, "n": 8},
    )
    train(Run(config))
    results = [
        load_result(tmp_path / "r" / "eval" / "synth-train" / name)
        for name in ("base", "step_000040")
    ]
    assert compare(*results).difference[1].ci_low > 0, compare(*results).lines()


def shaken(base):
    """A policy with an adapter that does something."""
    policy = Policy(add_lora(load_model(base), Lora(rank=8), 0).eval(), 1.0)
    for name, weight in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02, generator=torch.Generator().manual_seed(1))
    return policy


def learner(base, tokens_per_pass, **algorithm):
    """GRPO on a shaken policy."""
    optimizer = {"tokens_per_pass": tokens_per_pass, "max_grad_norm": 1e9}
    algorithm = {"beta": 0.0, **algorithm}
    config = config_of("unused", base, algorithm=algorithm, optimizer=optimizer)
    return Grpo(config, shaken(base), PromptTemplate(load_tokenizer(base)))


def gradient(base, rollout, tokens_per_pass, **settings):
    algorithm = learner(base, tokens_per_pass, **settings)
    policy = algorithm.policy
    optimizer = torch.optim.SGD(algorithm.parameter_groups(), lr=1.0)
    before = [p.detach().clone() for p in policy.parameters]
    stats = update(policy, optimizer, algorithm.prepare(rollout), algorithm, 1.0)
    steps = [b - p.detach() for b, p in zip(before, policy.parameters, strict=True)]
    return torch.cat([g.flatten() for g in steps]), stats


@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo", "gspo"])
def test_the_gradient_does_not_depend_on_how_a_step_is_cut(base, tmp_path, loss):
    rollout = Run(config_of(tmp_path / "r", base)).rollouts.next(1)
    assert rollout.mixed.sum() >= 2
    whole, _ = gradient(base, rollout, 10**6, loss=loss, beta=0.01)
    assert whole.abs().max() > 0
    for tokens in (40, 150, 600):
        cut, _ = gradient(base, rollout, tokens, loss=loss, beta=0.01)
        torch.testing.assert_close(cut, whole, atol=1e-5 * float(whole.abs().max()), rtol=1e-4)


def plain_gradient(base, rollout, settings, size):
    """The step's gradient with transformers' own attention, padded rows, `size` rows at a time."""
    policy = shaken(base)
    policy.model.set_attn_implementation("sdpa")
    rows = [(g, i) for g in range(len(rollout.prompts)) for i in range(8)]
    advantages = group_advantages(rollout.rewards)
    rows = [(g, i) for g, i in rows if rollout.mixed[g] or settings.beta]
    whole = Normalizer(
        sequences=rollout.rewards.numel(),
        tokens=sum(len(c.token_ids) for group in rollout.completions for c in group),
    )
    for begin in range(0, len(rows), size):
        part = rows[begin : begin + size]
        texts = [(rollout.prompts[g], rollout.completions[g][i].token_ids) for g, i in part]
        length = max(len(p) + len(c) for p, c in texts)
        ids = torch.zeros(len(part), length, dtype=torch.long)
        mask = torch.zeros(len(part), length - 1, dtype=torch.bool)
        for row, (prompt, completion) in enumerate(texts):
            ids[row, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
            mask[row, len(prompt) - 1 : len(prompt) + len(completion) - 1] = True
        attended = torch.arange(length)[None] < mask.sum(1, keepdim=True) + torch.tensor(
            [[len(prompt)] for prompt, _ in texts]
        )
        logits = policy.model(input_ids=ids, attention_mask=attended.long()).logits[:, :-1]
        logprobs = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        with torch.no_grad(), policy.model.disable_adapter():
            logits = policy.model(input_ids=ids, attention_mask=attended.long()).logits[:, :-1]
            reference = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        out = policy_loss(
            logprobs,
            logprobs.detach(),
            torch.stack([advantages[g, i] for g, i in part]),
            mask,
            ref_logprobs=reference,
            loss=settings.loss,
            beta=settings.beta,
            max_tokens=24,
            whole=whole,
        )
        out.loss.backward()
    return torch.cat([p.grad.flatten() for p in policy.parameters])


@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo", "gspo"])
def test_packing_and_sharing_the_prompt_change_no_gradient(base, tmp_path, loss):
    rollout = Run(config_of(tmp_path / "r", base)).rollouts.next(1)
    settings = GrpoSettings(loss=loss, beta=0.01)
    ours, _ = gradient(base, rollout, 10**6, loss=loss, beta=0.01)
    for size in (1, 4, 64):
        plain = plain_gradient(base, rollout, settings, size)
        torch.testing.assert_close(ours, plain, atol=1e-5 * float(plain.abs().max()), rtol=1e-3)


def test_groups_without_signal_are_counted_but_never_passed(base, tmp_path):
    rollout = Run(config_of(tmp_path / "r", base)).rollouts.next(1)
    rollout.rewards[:] = rollout.shaped[:] = 1.0
    [minibatch] = learner(base, 1000).prepare(rollout).minibatches()
    assert minibatch.units == []
    assert minibatch.whole.sequences == 64
    steps, stats = gradient(base, rollout, 1000)
    assert steps.abs().max() == 0
    assert stats["loss"] == 0.0


def test_several_steps_a_rollout_move_the_ratio_and_clip(base, tmp_path):
    config = config_of(
        tmp_path / "r",
        base,
        run={"steps": 2},
        optimizer={"lr": 2e-2, "epochs": 2, "minibatches": 2},
    )
    train(Run(config))
    metrics = read_metrics(tmp_path / "r")
    assert any(line["ratio/max"] > 1.001 for line in metrics)
    assert any(line["clip_fraction"] > 0 for line in metrics)


def test_the_reference_is_the_base_with_the_adapter_off(base):
    from models.packed import PackedGroups

    tokenizer = load_tokenizer(base)
    model = load_model(base)
    layout = PackedGroups([tokenizer.encode("Question: 1+1?")], [[tokenizer.encode(" 2 and 3")]])
    plain, _ = Policy(model, 1.0).logprobs(layout)
    policy = Policy(add_lora(model, Lora(rank=4), 0), 1.0)
    for name, weight in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    with policy.as_reference():
        reference, _ = policy.logprobs(layout)
    torch.testing.assert_close(reference, plain.detach())
    assert (policy.logprobs(layout)[0] - reference).abs().max() > 0.01


def test_the_short_way_through_lora_layers_is_pefts(base):
    from peft.tuners.lora import Linear

    model = shaken(base).model
    ids = torch.randint(5, 200, (2, 30))

    def outcome():
        model.zero_grad()
        logits = model(input_ids=ids).logits
        logits.square().mean().backward()
        return logits.detach(), [p.grad.clone() for p in model.parameters() if p.requires_grad]

    model.set_attn_implementation("sdpa")
    short = outcome()
    layers = [layer for layer in model.modules() if type(layer) is Linear]
    assert layers
    for layer in layers:
        del layer.forward  # PEFT's own
    torch.testing.assert_close(short, outcome(), atol=1e-6, rtol=1e-4)


def test_chunked_logprobs_and_entropy_equal_the_plain_ones(monkeypatch):
    monkeypatch.setattr("train.policy.logprobs.CHUNK_ELEMENTS", 70)
    hidden = torch.randn(23, 6, requires_grad=True)
    weight, targets = torch.randn(17, 6), torch.randint(0, 17, (23,))
    logprobs, entropy = token_logprobs(hidden, Head(weight), targets, 0.7)
    plain = (hidden @ weight.T / 0.7).log_softmax(-1)
    torch.testing.assert_close(logprobs, plain.gather(1, targets[:, None])[:, 0])
    torch.testing.assert_close(entropy, -(plain.exp() * plain).sum(-1).detach())
    [ours] = torch.autograd.grad(logprobs.sum(), hidden, retain_graph=True)
    [theirs] = torch.autograd.grad(plain.gather(1, targets[:, None]).sum(), hidden)
    torch.testing.assert_close(ours, theirs)


def test_each_epoch_takes_every_problem_once():
    mixture = Mixture([synthesize(35, seed=0)], [1.0], seed=3)
    taken = [i for step in range(7) for i in mixture.indices(5 * step, 5)]
    assert sorted(taken) == list(range(35))
    following = mixture.indices(35, 35)
    assert sorted(following) == list(range(35))
    assert following != taken


def test_a_configuration_survives_being_written_and_read(tmp_path, base):
    config = config_of(tmp_path / "r", base, sampling={"options": {"max_batch": 64}})
    write_text(tmp_path / "c.toml", to_toml(config))
    assert load_config(TrainConfig, tmp_path / "c.toml") == config


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("configs/**/*.toml")), ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_every_configuration_in_the_repository_is_valid(path):
    is_sft = "out" in tomllib.loads(path.read_text())["run"]
    load_config(SftConfig if is_sft else TrainConfig, path)


def test_lora_sft_lowers_the_loss_and_writes_an_adapter_that_loads(base, tmp_path):
    settings = {
        "run": {"out": str(tmp_path / "adapter"), "steps": 12},
        "model": {"path": str(base)},
        "lora": {"rank": 8, "alpha": 16},
        "data": {"train": "synth:train,n=200,levels=2", "batch": 16},
        "optimizer": {"lr": 5e-3},
    }
    folder = run_sft(check_config(SftConfig, settings, where="test"))
    losses = [json.loads(x)["loss"] for x in (folder / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]
    from sampling import SamplingParams, load_sampler

    assert load_sampler("torch", base, adapter=folder).sample(
        ["Question: 1+1?"], 1, SamplingParams(0.0, 4)
    )
