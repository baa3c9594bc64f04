"""Supervised fine-tuning of all weights."""

import torch
from safetensors.torch import load_file

from train.config import SftConfig, check_config
from train.supervised import _backward, _examples, _open_model, run_sft


def test_full_weight_sft_in_bfloat16_moves_every_weight_and_is_written_in_bfloat16(base, tmp_path):
    settings = {
        "run": {"out": str(tmp_path / "model"), "steps": 2},
        "model": {"path": str(base), "dtype": "bfloat16"},
        "data": {"train": "synth:train,n=64,levels=1", "batch": 16},
        "optimizer": {"lr": 1e-5},
    }
    config = check_config(SftConfig, settings, where="test")
    model, tokenizer, dtype = _open_model(config)
    assert dtype == torch.bfloat16
    layers = [p for name, p in model.named_parameters() if "layers" in name and p.ndim == 2]
    before = [p.detach().clone() for p in layers]
    _backward(model, _examples(config, model, tokenizer)[:16], 4096, autocast=True)
    torch.optim.AdamW(model.parameters(), lr=1e-5).step()
    moved = [(a != b).float().mean() for a, b in zip(before, layers, strict=True)]
    assert min(moved) > 0.99
    written = load_file(run_sft(config) / "model.safetensors")
    assert {weight.dtype for weight in written.values()} == {torch.bfloat16}
