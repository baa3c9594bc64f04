"""One pass over many sequences without padding, each prompt computed once for its completions.

The tokens of all prompts and completions lie in one row `[1, L]`, so linear layers and norms
never see padding, and a prompt shared by N completions is computed once instead of N times.
Only attention needs to know who sees whom: a prompt token sees its prompt so far, a completion
token sees its prompt and its own completion so far. That is said by a layout object, which
transformers hands through the model's forward to the attention function registered here.
"""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AttentionInterface

ATTENTION = "shared_prompt"


class Layout(Protocol):
    """Says which packed tokens attend to which."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention for packed `query [H, L, D]`, `key` and `value [Hk, L, D]`: `[L, H, D]`."""
        ...


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    *,
    layout: Layout,
    **_: Any,
) -> tuple[Tensor, None]:
    out = layout.attend(module.layer_idx, query[0], key[0], value[0], scaling)
    return out.unsqueeze(0), None


AttentionInterface.register(ATTENTION, _attention)


def compile_layers(model: Any) -> None:
    """Let torch.compile make the decoder layers of a causal LM faster, whatever the lengths.

    Attention stays out of the graphs: who sees whom is another matter in every batch.
    """
    AttentionInterface.register(ATTENTION, torch.compiler.disable(_attention))
    for layer in model.get_decoder().layers:
        layer.compile(dynamic=True)


def hidden_states(
    model: Any, ids: Int[Tensor, "L"], positions: Int[Tensor, "L"], layout: Layout
) -> Float[Tensor, "L d"]:
    """The last hidden states of the packed tokens. `model` is a causal LM, with or without LoRA."""
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = causal_lm.get_decoder()
    out = decoder(input_ids=ids[None], position_ids=positions[None], use_cache=False, layout=layout)
    return out.last_hidden_state[0]


def output_weight(model: Any) -> Float[Tensor, "V d"]:
    """The matrix that turns hidden states into logits."""
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = causal_lm.get_output_embeddings()
    if getattr(head, "bias", None) is not None:
        raise ValueError("an output layer with a bias is not supported")
    return head.weight


def pad_index(lengths: list[int], start: list[int], device: Any) -> tuple[Tensor, Tensor]:
    """Packed positions of sequences as a padded index `[S, T]` and its mask `[S, T]`."""
    longest = max(lengths, default=0)
    steps = torch.arange(longest, device=device)
    length = torch.tensor(lengths, dtype=torch.long, device=device)[:, None]
    begin = torch.tensor(start, dtype=torch.long, device=device)[:, None]
    mask = steps[None] < length
    return torch.where(mask, begin + steps, 0), mask


class PackedGroups:
    """Groups of completions, packed: `[prompt, completion 1, …, completion N, next prompt, …]`.

    The last token of a completion predicts nothing and is left out. `predictors [B, T]` are the
    packed positions whose hidden states predict the completions' tokens `targets [B, T]`;
    `mask [B, T]` is true for real tokens.
    """

    def __init__(
        self,
        prompts: list[list[int]],
        completions: list[list[list[int]]],
        device: Any = "cpu",
    ):
        ids: list[int] = []
        positions: list[int] = []
        prompt_start: list[int] = []
        start: list[int] = []
        owner: list[int] = []
        flat: list[list[int]] = []
        for group, (prompt, members) in enumerate(zip(prompts, completions, strict=True)):
            prompt_start.append(len(ids))
            ids += prompt
            positions += range(len(prompt))
            for tokens in members:
                start.append(len(ids))
                owner.append(group)
                flat.append(tokens)
                ids += tokens[:-1]
                positions += range(len(prompt), len(prompt) + len(tokens) - 1)
        self.ids: Int[Tensor, L] = torch.tensor(ids, device=device)
        self.positions: Int[Tensor, L] = torch.tensor(positions, device=device)
        self._owner = torch.tensor(owner, dtype=torch.long, device=device)
        prompt_lengths = [len(prompt) for prompt in prompts]
        self._prompt_index, self._prompt_mask = pad_index(prompt_lengths, prompt_start, device)
        fed = [len(tokens) - 1 for tokens in flat]
        self._index, self._mask = pad_index(fed, start, device)

        self.mask: Bool[Tensor, "B T"]
        own, self.mask = pad_index([len(tokens) for tokens in flat], start, device)
        ends = self._prompt_index.gather(1, self._prompt_mask.sum(1, keepdim=True) - 1)
        shifted = torch.cat([ends[self._owner], own[:, :-1]], dim=1) if flat else own
        self.predictors: Int[Tensor, "B T"] = torch.where(self.mask, shifted, 0)
        self.targets: Int[Tensor, "B T"] = torch.zeros_like(own)
        if flat:
            self.targets[self.mask] = torch.tensor([t for f in flat for t in f], device=device)
        self._inverse = self._invert(len(ids), device)
        self._allowed = self._completion_mask()

    def _invert(self, length: int, device: Any) -> Int[Tensor, "L"]:
        """For each packed token, its row among the padded prompts and completions."""
        inverse = torch.zeros(length, dtype=torch.long, device=device)
        rows = torch.arange(self._prompt_mask.numel() + self._mask.numel(), device=device)
        inverse[self._prompt_index[self._prompt_mask]] = rows[: self._prompt_mask.numel()][
            self._prompt_mask.flatten()
        ]
        inverse[self._index[self._mask]] = rows[self._prompt_mask.numel() :][self._mask.flatten()]
        return inverse

    def _completion_mask(self) -> Bool[Tensor, "B 1 T Tp+T"]:
        """Which keys (its prompt's, then its own) each completion token may see."""
        n, t = self._mask.shape
        own = torch.ones(t, t, dtype=torch.bool, device=self._mask.device).tril()
        shared = self._prompt_mask[self._owner][:, None].expand(n, t, -1)
        return torch.cat([shared, own.expand(n, t, t)], dim=2)[:, None]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        repeat = query.shape[0] // key.shape[0]
        prompt_q, prompt_k, prompt_v = (
            x[:, self._prompt_index].transpose(0, 1) for x in (query, key, value)
        )  # [P, H, Tp, D]
        out = F.scaled_dot_product_attention(
            prompt_q,
            prompt_k.repeat_interleave(repeat, 1),
            prompt_v.repeat_interleave(repeat, 1),
            is_causal=True,
            scale=scale,
        )
        rows = [out.transpose(1, 2).flatten(0, 1)]  # [P·Tp, H, D]
        if self._index.numel():
            own_q, own_k, own_v = (x[:, self._index].transpose(0, 1) for x in (query, key, value))
            keys = torch.cat([prompt_k[self._owner], own_k], dim=2)
            values = torch.cat([prompt_v[self._owner], own_v], dim=2)
            out = F.scaled_dot_product_attention(
                own_q,
                keys.repeat_interleave(repeat, 1),
                values.repeat_interleave(repeat, 1),
                attn_mask=self._allowed,
                scale=scale,
            )
            rows.append(out.transpose(1, 2).flatten(0, 1))  # [B·T, H, D]
        return torch.cat(rows)[self._inverse]
