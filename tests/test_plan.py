"""What `--dry-run` says of memory is what a pass keeps."""

import pytest
import torch
from transformers import Qwen2Config

from models.packed import PackedGroups
from models.selftest import choose_path
from tests.conftest import config_of
from tests.families import small
from train.activations import FALLBACK, layer_bytes
from train.config.sections import Lora
from train.plan import estimate
from train.policy import Policy, add_lora

SIZES = {"hidden_size": 128, "head_dim": 32, "intermediate_size": 384}


def kept_by_a_pass(kind, layers, dtype):
    """Bytes that a real forward keeps, and its tokens."""
    model = choose_path(kind, small(kind, num_hidden_layers=layers, **SIZES).to(dtype))
    lora = add_lora(model, Lora(rank=4), 0).train()
    layout = PackedGroups([[5] * 8], [[[7] * 120] * 4])
    own = {x.untyped_storage().data_ptr() for x in (*lora.parameters(), *lora.buffers())}
    kept = {}

    def note(x):
        storage = x.untyped_storage()
        kept.setdefault(storage.data_ptr(), (storage.nbytes(), x))
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        Policy(lora, 1.0).states(layout)
    return sum(size for at, (size, _) in kept.items() if at not in own), len(layout.ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["llama", "qwen3", "olmo2"])
def test_the_bytes_of_a_layer_are_those_that_a_pass_keeps(kind, dtype):
    (less, tokens), (more, _) = (kept_by_a_pass(kind, layers, dtype) for layers in (2, 6))
    found = layer_bytes(small(kind, **SIZES).config, Lora(rank=4), dtype)
    assert found == pytest.approx((more - less) / 4 / tokens, rel=0.15)


def test_a_family_that_cannot_be_counted_gets_an_average():
    config = small("mamba").config
    assert layer_bytes(config, Lora(rank=4), torch.bfloat16) == FALLBACK * 32 * 2


def test_a_7b_run_is_said_to_need_what_it_needs(tmp_path):
    shape = Qwen2Config(
        hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
        num_key_value_heads=4, vocab_size=152064, tie_word_embeddings=False,
    )  # fmt: skip
    shape.save_pretrained(tmp_path / "7b")
    sizes = {}
    for checkpointing in (False, True):
        config = config_of(
            tmp_path / "r",
            tmp_path / "7b",
            model={"dtype": "bfloat16", "gradient_checkpointing": checkpointing},
            optimizer={"tokens_per_pass": 16_384},
        )
        sizes[checkpointing] = estimate(config, 200).total / 2**30
    assert 95 < sizes[False] < 125  # 30 tensors of the model's width a layer, and 14 GiB of weights
    assert 18 < sizes[True] < 35
