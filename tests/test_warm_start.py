"""Training that starts from a LoRA, as after fine-tuning: the policy, its reference, its resumption."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from common.errors import UserError
from models.loading import load_tokenizer
from models.packed import PackedGroups
from tests.conftest import config_of, run_settings
from tests.test_survival import without_times
from train.config import SftConfig, TrainConfig, check_config
from train.plan import show_plan
from train.records.metrics import read_metrics
from train.run import Run, train
from train.supervised import _examples, batches_of, run_sft


def sft_settings(out: Path, base: Path, **model) -> dict:
    return {
        "run": {"out": str(out), "steps": 12},
        "model": {"path": str(base), **model},
        "data": {"train": "synth:train,n=200,levels=1", "batch": 16},
        "optimizer": {"lr": 5e-3},
    }


@pytest.fixture(scope="module")
def start(base, tmp_path_factory) -> Path:
    """A LoRA of rank 4, fine-tuned on worked solutions."""
    settings = sft_settings(tmp_path_factory.mktemp("sft") / "lora", base)
    settings["lora"] = {"rank": 4, "alpha": 12}
    return run_sft(check_config(SftConfig, settings, where="test"))


def warm(folder: Path, base: Path, start: Path, *, reference: str = "start", **sections):
    settings = run_settings(folder, base, **sections)
    settings["model"] |= {"adapter": str(start), "reference": reference}
    settings["lora"] = {}
    return check_config(TrainConfig, settings, where="test")


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"step_{step:06d}" / "adapter_model.safetensors")


def test_grpo_starts_with_the_log_probs_of_the_fine_tuned_policy(base, start, tmp_path):
    run = Run(warm(tmp_path / "r", base, start))
    rollout = run.rollouts.next(1)
    ids = [[c.token_ids for c in group] for group in rollout.completions]
    layout = PackedGroups(rollout.prompts, ids, run.policy.device)
    ours, _ = run.policy.logprobs(layout)
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), start).eval()
    plain = AutoModelForCausalLM.from_pretrained(base).eval()
    row, apart = 0, 0.0
    for prompt, group in zip(rollout.prompts, rollout.completions, strict=True):
        for completion in group:
            text, asked = torch.tensor([[*prompt, *completion.token_ids]]), len(prompt)
            with torch.no_grad():
                theirs, untuned = (
                    model(text)
                    .logits[0, asked - 1 : -1]
                    .log_softmax(-1)
                    .gather(1, text[0, asked:, None])[:, 0]
                    for model in (tuned, plain)
                )
            torch.testing.assert_close(ours[row, : len(theirs)], theirs, atol=1e-5, rtol=0)
            sampled = torch.tensor(completion.logprobs)
            torch.testing.assert_close(sampled, theirs, atol=1e-5, rtol=0)
            apart = max(apart, float((theirs - untuned).abs().max()))
            row += 1
    assert apart > 0.1  # fine-tuning had moved the base


def test_the_kl_is_to_the_start_or_to_the_base_as_asked(base, start, tmp_path):
    kls = {}
    for reference in ("start", "base"):
        run = tmp_path / reference
        train(Run(warm(run, base, start, reference=reference, run={"steps": 3})))
        kls[reference] = [line["kl"] for line in read_metrics(run)]
    assert kls["start"][0] == pytest.approx(0.0, abs=1e-7)
    assert kls["start"][2] > 1e-6
    assert kls["base"][0] > 1e-3


def test_a_warm_start_resumes_bit_for_bit_and_its_adapter_is_not_needed_again(
    base, start, tmp_path
):
    own = tmp_path / "lora"
    shutil.copytree(start, own)
    for name in ("whole", "cut"):
        steps = {"steps": 4 if name == "whole" else 2}
        train(Run(warm(tmp_path / name, base, own, run=steps)))
    own.rename(tmp_path / "away")
    from train.config import load_config

    config = load_config(TrainConfig, tmp_path / "cut" / "config.toml", ["--run.steps", "4"])
    train(Run(config, resume=True))
    ours, theirs = (without_times(read_metrics(tmp_path / n)) for n in ("cut", "whole"))
    assert ours == theirs
    a, b = weights(tmp_path / "cut", 4), weights(tmp_path / "whole", 4)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in b)
    assert (config.lora.rank, config.lora.alpha) == (4, 12)


@pytest.mark.parametrize(
    "algorithm",
    [
        {"name": "dpo"},
        {"name": "ppo", "critic": {"kind": "separate"}},
        {"name": "rlhf", "pair_steps": 1},
        {"name": "reinforce"},
    ],
    ids=lambda settings: settings["name"],
)
def test_every_algorithm_starts_from_the_adapter(base, start, tmp_path, algorithm):
    config = warm(tmp_path / "r", base, start, algorithm=algorithm, run={"steps": 1})
    run = Run(config)
    before = {
        name: w.clone() for name, w in run.policy.model.named_parameters() if ".default." in name
    }
    found = load_file(start / "adapter_model.safetensors")
    for name, weight in before.items():
        assert torch.equal(weight, found[name.replace(".default", "")])
    train(run)
    [line] = read_metrics(tmp_path / "r")
    if algorithm["name"] == "dpo":  # nothing is likelier yet than under the reference
        assert line["loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_fine_tuning_goes_on_with_an_adapter(base, start, tmp_path):
    settings = sft_settings(tmp_path / "more", base, adapter=str(start))
    config = check_config(SftConfig, settings, where="test")
    more = run_sft(config)
    first = json.loads((more / "metrics.jsonl").read_text().splitlines()[0])
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), start).eval()
    batch = next(batches_of(_examples(config, tuned, load_tokenizer(base)), 16, config.run.seed))
    losses = []
    for prompt, target in batch:
        logits = tuned(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        losses.append(
            torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="sum")
        )
    expected = sum(losses).item() / sum(len(target) for _, target in batch)
    assert first["loss"] == pytest.approx(expected, rel=1e-5)
    assert json.loads((more / "adapter_config.json").read_text())["r"] == 4


def without_layer(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    save_file(
        {name.replace("layers.0.", "layers.77."): w for name, w in load_file(file).items()}, file
    )


def narrower(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    cut = {
        name: w[:, :8].contiguous() if "lora_A" in name else w
        for name, w in load_file(file).items()
    }
    save_file(cut, file)


def edited(name: str, **keys):
    def edit(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | keys))

    return edit


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, "not an adapter folder"),
        (edited("base.json", fingerprint="0123456789abcdef"), "made for another base"),
        (without_layer, "layers.77"),
        (narrower, "8 wide"),
        (edited("adapter_config.json", peft_type="IA3"), "IA3"),
        (edited("adapter_config.json", modules_to_save=["lm_head"]), "modules_to_save"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"{}"), "cannot be read"),
    ],
    ids=["missing", "base", "layers", "width", "kind", "whole layers", "damaged"],
)
def test_an_adapter_that_cannot_be_gone_on_with_is_one_line_before_anything_is_loaded(
    base, start, tmp_path, monkeypatch, damage, said
):
    mine = tmp_path / "lora"
    shutil.copytree(start, mine)
    damage(mine)
    monkeypatch.setattr("train.run.load_model", None)
    monkeypatch.setattr("train.supervised.load_model", None)
    tune = check_config(SftConfig, sft_settings(tmp_path / "s", base, adapter=str(mine)), where="t")
    config = warm(tmp_path / "r", base, mine)
    for begin in (lambda: Run(config), lambda: show_plan(config), lambda: run_sft(tune)):
        with pytest.raises(UserError, match=said) as error:
            begin()
        assert str(mine) in str(error.value)
    assert not (tmp_path / "r").exists()


def test_lora_settings_are_the_adapters_and_others_are_refused(base, start, tmp_path):
    assert warm(tmp_path / "r", base, start).lora.rank == 4
    settings = run_settings(tmp_path / "r", base, model={"adapter": str(start)}, lora={"rank": 8})
    with pytest.raises(UserError, match=r"lora\.rank = 8, but the adapter .* has 4"):
        check_config(TrainConfig, settings, where="test")
    own = {"dropout": 0.25}
    settings = run_settings(tmp_path / "r", base, model={"adapter": str(start)}) | {"lora": own}
    run = Run(check_config(TrainConfig, settings, where="test"))
    assert {m.p for m in run.policy.model.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}


def test_a_new_model_has_no_adapter_to_go_on_with(tmp_path):
    settings = sft_settings(tmp_path / "s", Path("x"), adapter="y", scratch="tiny")
    del settings["model"]["path"]
    with pytest.raises(UserError, match=r"leave model\.adapter out"):
        check_config(SftConfig, settings, where="test")


def test_a_cold_start_is_what_it_was(base, tmp_path):
    config = config_of(tmp_path / "r", base)
    assert not Run(config).policy.moved_reference
