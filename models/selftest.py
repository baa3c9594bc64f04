"""The proof at load: does the short way compute what the model's own forward computes?

Two prompts with two completions each, packed with shared prompts, against the model's own forward
with its standard attention. A family that does not agree takes the plain path; one whose plain
path does not agree either cannot be served. The model's own cache is proved alike.
"""

from typing import Any

import torch
from torch import Tensor

from common.errors import UserError, first_line
from models.head import Head, head_of
from models.packed import ATTENTION, FUSED, PackedGroups, hidden_states
from models.plain import CACHE_PROVED, PlainCache, states_of
from models.varlen import may_fuse

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.05}  # relative


def choose_path(name: str, model: Any) -> Any:
    """The model with shared prompts where that is proved for it, else with its own attention.

    `model` comes with its own attention. Raises UserError where even its own hidden states do not
    give its own logits.
    """
    if caps_attention(model.config):
        model.set_attn_implementation(
            "eager"
        )  # transformers' other ways leave the cap out, silently
    prompts, completions = _examples(model)
    layout = PackedGroups(prompts, completions, head_of(model).weight.device)
    with torch.inference_mode():
        try:
            wanted = _own_logits(model, prompts, completions)
            states = states_of(model, layout)
            head = head_of(model)
        except Exception as error:  # whatever a family's own code raises
            raise UserError(
                f"{name}: {type(model).__name__} cannot be used ({first_line(error)})"
            ) from error
        if not _agrees(head, states, layout, wanted):
            raise UserError(
                f"{name}: the logits of {type(model).__name__} are not made of its last hidden "
                "states in a known way; this family is not supported"
            )
        setattr(model, CACHE_PROVED, _cache_agrees(model, prompts[0], completions[0][0], states))
        if beyond_full_attention(model.config):
            return model
        own = model.config._attn_implementation
        for way in [FUSED, ATTENTION] if may_fuse(states.device, states.dtype) else [ATTENTION]:
            if _packs(way, model, layout, states, wanted):
                return model
        model.set_attn_implementation(own)
    return model


def caps_attention(config: Any) -> bool:
    """Whether attention's logits are capped, as Gemma 2's are."""
    return bool(getattr(config.get_text_config(), "attn_logit_softcapping", None))


def beyond_full_attention(config: Any) -> bool:
    """Whether a token may see less of the past than all of it, which short texts do not show, or
    sees it through a cap."""
    if caps_attention(config):
        return True
    config = config.get_text_config()
    if set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        return True
    context = int(getattr(config, "max_position_embeddings", 0) or 1 << 20)
    window = getattr(config, "sliding_window", None)
    return bool(
        window and window < context and getattr(config, "use_sliding_window", True)
    ) or bool(getattr(config, "attention_chunk_size", None))


def _examples(model: Any) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Two prompts × two completions of token ids, of unlike lengths, the same each time."""
    draw = torch.Generator().manual_seed(0)
    size = model.config.get_text_config().vocab_size

    def tokens(n: int) -> list[int]:
        return torch.randint(min(3, size - 1), size, (n,), generator=draw).tolist()

    return [tokens(7), tokens(5)], [[tokens(6), tokens(9)], [tokens(4), tokens(8)]]


def _own_logits(model: Any, prompts: list[list[int]], groups: list[list[list[int]]]) -> Tensor:
    """The logits `[K, V]` that the model itself gives for each completion token, row by row."""
    device = head_of(model).weight.device
    found = []
    for prompt, completions in zip(prompts, groups, strict=True):
        for tokens in completions:
            ids = torch.tensor([prompt + tokens[:-1]], device=device)
            found.append(model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 :].float())
    return torch.cat(found)


def _cache_agrees(model: Any, prompt: list[int], tokens: list[int], states: Tensor) -> bool:
    """Whether the model's own cache gives the states of the whole; `states` begin with these."""
    try:
        cache = PlainCache(model, [prompt], 1)
        found = [cache.first()]
        found += [
            cache.next(torch.tensor([[token]], device=states.device)) for token in tokens[:-1]
        ]
        at = slice(len(prompt) - 1, len(prompt) + len(tokens) - 1)
        return _close(torch.cat(found), states[at], TOLERANCE[states.dtype])
    except Exception:  # a family with a cache of its own kind, such as Mamba
        return False


def _packs(way: str, model: Any, layout: PackedGroups, states: Tensor, wanted: Tensor) -> bool:
    """Whether with shared prompts, set up that way, the model computes what it does by itself."""
    try:
        model.set_attn_implementation(way)
        packed = hidden_states(model, layout.ids, layout.positions, layout)
    except Exception:  # a family that has attention of its own kind
        return False
    same = _close(packed, states, TOLERANCE[packed.dtype])
    return same and _agrees(head_of(model), packed, layout, wanted)


def _agrees(head: Head, states: Tensor, layout: PackedGroups, wanted: Tensor) -> bool:
    found = head.logits(states[layout.predictors[layout.mask]])
    return _close(found, wanted, TOLERANCE[head.weight.dtype])


def _close(found: Tensor, wanted: Tensor, limit: float) -> bool:
    gap = (found.float() - wanted.float()).norm(dim=-1)
    return bool((gap <= limit * wanted.float().norm(dim=-1) + 1e-6).all())
