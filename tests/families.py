"""Model families in small: random configurations of 25 and more, far enough from uniform."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SMALL = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
MOE = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
}
WINDOW = {"sliding_window": 8}
OLD = {"n_layer": 2, "n_head": 4}  # names of the settings before they were alike everywhere
DEEPSEEK = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_group": 2,
    "topk_group": 1, "first_k_dense_replace": 1, "kv_lora_rank": 16, "q_lora_rank": 16,
    "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "head_dim": 8, "v_head_dim": 8, "num_key_value_heads": 4,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {  # what is set beside SMALL; None: left out
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": MOE,
    "smollm3": {},
    "olmo": {},
    "olmo2": {},
    "glm": {},
    "gemma": {},
    "mixtral": MOE,
    "granite": {"logits_scaling": 6.0, "embedding_multiplier": 2.0, "residual_multiplier": 0.5},
    "cohere": {"logit_scale": 0.0625},
    "nemotron": {},
    "phi": {},
    "stablelm": {},
    "gpt_neox": {},
    "deepseek_v3": DEEPSEEK,
    "mistral": WINDOW,
    "starcoder2": WINDOW,
    "phi3": WINDOW,
    "gemma2": {**WINDOW, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 1.0},
    "gemma3_text": WINDOW,
    "gpt_oss": {**MOE, **WINDOW},
    "bloom": OLD,
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128},
    "falcon": {"alibi": True, "head_dim": None},
    "gpt2": {"n_embd": 32, "n_positions": 128, **OLD},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "qwen3_next": {
        **MOE, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
        "linear_value_head_dim": 8, "shared_expert_intermediate_size": 32,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "lru_width": 32},
    "mamba": {},
}  # fmt: skip


def small(kind: str, **more: Any) -> Any:
    """A random model of a family, in float32; `more` are other sizes than SMALL's."""
    torch.manual_seed(0)
    settings = {**SMALL, **more, **FAMILIES[kind]}
    config = AutoConfig.for_model(kind, **{k: v for k, v in settings.items() if v is not None})
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, 1.4 / settings["hidden_size"] ** 0.5)  # far from uniform
            elif "bias" in name:
                weight.normal_(0.0, 0.5)
    return model
