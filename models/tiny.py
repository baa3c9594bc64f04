"""A tiny base model made on the spot: Qwen2-shaped, digit-level tokens, random weights.

It lets everything be tried on a bare CPU, with nothing to download.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from models.packed import ATTENTION


def tiny_tokenizer(texts: Iterable[str], vocabulary: int = 768) -> Any:
    """Qwen2's kind of tokenizer (byte-level BPE, each digit a token), learnt from some texts."""
    tokenizer = Qwen2Tokenizer().train_new_from_iterator(texts, vocabulary, show_progress=False)
    tokenizer.model_max_length = 1024
    return tokenizer


def tiny_model(
    tokenizer: Any, *, seed: int, layers: int = 4, width: int = 128, context: int = 1024
) -> Qwen2ForCausalLM:
    """A Qwen2 with random weights, about 1M parameters at the defaults."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    config._attn_implementation = ATTENTION
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen2ForCausalLM(config)


def save_base(folder: str | Path, model: Any, tokenizer: Any) -> None:
    """Save model and tokenizer as a normal transformers folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
