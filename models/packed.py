"""One pass over many sequences without padding, each prompt computed once for its completions.

The tokens of all prompts and completions lie in one row `[1, L]`, so linear layers and norms
never see padding, and a prompt shared by N completions is computed once instead of N times.
Only attention needs to know who sees whom: a prompt token sees its prompt so far, a completion
token sees its prompt and its own completion so far. That is said by a layout object, which
transformers hands through the model's forward to the attention function registered here.
"""

import functools
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AttentionInterface

from common.shapes import B_1_T_S, B_T, S_T, L, L_d, V_d
from models.varlen import Segments

ATTENTION = "shared_prompt"
FUSED = "shared_prompt_fused"  # the same, by one kernel for all sequences (models/varlen.py)
LONGEST_MASK = 1 << 20  # elements of one completion's mask; longer ones are asked without a mask


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


def _fused_attention(*inputs: Any, layout: Layout, **options: Any) -> tuple[Tensor, None]:
    return _attention(*inputs, layout=getattr(layout, "fused", layout), **options)


AttentionInterface.register(ATTENTION, _attention)
AttentionInterface.register(FUSED, _fused_attention)


def compile_layers(model: Any) -> None:
    """Let torch.compile make the decoder layers of a causal LM faster, whatever the lengths.

    Attention stays out of the graphs: who sees whom is another matter in every batch.
    """
    AttentionInterface.register(ATTENTION, torch.compiler.disable(_attention))
    AttentionInterface.register(FUSED, torch.compiler.disable(_fused_attention))
    for layer in model.get_decoder().layers:
        layer.compile(dynamic=True)


def hidden_states(
    model: Any, ids: Int[Tensor, L], positions: Int[Tensor, L], layout: Layout
) -> Float[Tensor, L_d]:
    """The last hidden states of the packed tokens. `model` is a causal LM, with or without LoRA."""
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = causal_lm.get_decoder()
    out = decoder(input_ids=ids[None], position_ids=positions[None], use_cache=False, layout=layout)
    return out.last_hidden_state[0]


def output_weight(model: Any) -> Float[Tensor, V_d]:
    """The matrix of the output layer; for logits take models.head, which knows the rest."""
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    return causal_lm.get_output_embeddings().weight


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

        self.mask: Bool[Tensor, B_T]
        own, self.mask = pad_index([len(tokens) for tokens in flat], start, device)
        ends = self._prompt_index.gather(1, self._prompt_mask.sum(1, keepdim=True) - 1)
        shifted = torch.cat([ends[self._owner], own[:, :-1]], dim=1) if flat else own
        self.predictors: Int[Tensor, B_T] = torch.where(self.mask, shifted, 0)
        self.targets: Int[Tensor, B_T] = torch.zeros_like(own)
        if flat:
            self.targets[self.mask] = torch.tensor([t for f in flat for t in f], device=device)
        self._inverse = self._invert(len(ids), device)
        self._allowed: Tensor | None = None  # made when the first layer asks for it
        self._prompt_spans = list(zip(prompt_start, prompt_lengths, strict=True))
        self._spans = [
            (prompt_start[g], prompt_lengths[g], start[i], fed[i]) for i, g in enumerate(owner)
        ]

    @functools.cached_property
    def fused(self) -> Layout:
        """The same layout for the kernel of FUSED."""
        return Segments(self._prompt_spans, self._spans, self.ids.device)

    def rows(self) -> tuple[Int[Tensor, S_T], Bool[Tensor, S_T]]:
        """Packed positions of each whole sequence, and what is not padding."""
        whole = [
            torch.cat([torch.arange(a, a + n), torch.arange(b, b + m)])
            for a, n, b, m in self._spans
        ]
        rows = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True, padding_value=-1)
        rows = rows.to(self.ids.device)
        return rows.clamp(min=0), rows >= 0

    def _invert(self, length: int, device: Any) -> Int[Tensor, L]:
        """For each packed token, its row among the padded prompts and completions."""
        inverse = torch.zeros(length, dtype=torch.long, device=device)
        rows = torch.arange(self._prompt_mask.numel() + self._mask.numel(), device=device)
        inverse[self._prompt_index[self._prompt_mask]] = rows[: self._prompt_mask.numel()][
            self._prompt_mask.flatten()
        ]
        inverse[self._index[self._mask]] = rows[self._prompt_mask.numel() :][self._mask.flatten()]
        return inverse

    def _completion_mask(self) -> Bool[Tensor, B_1_T_S]:
        """Which keys (its prompt's, then its own) each completion token may see."""
        n, t = self._mask.shape
        own = torch.ones(t, t, dtype=torch.bool, device=self._mask.device).tril()
        shared = self._prompt_mask[self._owner][:, None].expand(n, t, -1)
        return torch.cat([shared, own.expand(n, t, t)], dim=2)[:, None]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        prompt_q, prompt_k, prompt_v = (
            x[:, self._prompt_index].transpose(0, 1) for x in (query, key, value)
        )  # [P, H, Tp, D]
        out = F.scaled_dot_product_attention(
            prompt_q,
            prompt_k,
            prompt_v,
            is_causal=True,
            scale=scale,
            enable_gqa=True,
        )
        rows = [out.transpose(1, 2).flatten(0, 1)]  # [P·Tp, H, D]
        t = self._index.shape[1]
        if self._index.numel() and t * (t + self._prompt_index.shape[1]) > LONGEST_MASK:
            return self._attend_long(rows[0], query, key, value, scale)
        if self._index.numel():
            if self._allowed is None:
                self._allowed = self._completion_mask()
            own_q, own_k, own_v = (x[:, self._index].transpose(0, 1) for x in (query, key, value))
            keys = torch.cat([prompt_k[self._owner], own_k], dim=2)
            values = torch.cat([prompt_v[self._owner], own_v], dim=2)
            out = F.scaled_dot_product_attention(
                own_q,
                keys,
                values,
                attn_mask=self._allowed,
                scale=scale,
                enable_gqa=True,
            )
            rows.append(out.transpose(1, 2).flatten(0, 1))  # [B·T, H, D]
        return torch.cat(rows)[self._inverse]

    def _attend_long(
        self, prompts: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        """One causal call a completion over `[prompt; own]`: no mask, so memory is linear in T.

        `prompts [P·Tp, H, D]` is done already; a prompt's queries are asked again, as causal
        kernels take squares.
        """
        found = prompts.new_empty(query.shape[1], *prompts.shape[1:])
        parts, at = [prompts[self._prompt_rows()]], [self._prompt_index[self._prompt_mask]]
        for a, n, b, m in self._spans:
            q, k, v = (
                torch.cat([x[:, a : a + n], x[:, b : b + m]], 1)[None] for x in (query, key, value)
            )
            out = F.scaled_dot_product_attention(
                q, k, v, is_causal=True, scale=scale, enable_gqa=True
            )
            parts.append(out[0, :, n:].transpose(0, 1))
            at.append(torch.arange(b, b + m, device=found.device))
        return found.index_put((torch.cat(at),), torch.cat(parts))

    def _prompt_rows(self) -> Tensor:
        """Where the real tokens of the prompts stand among their padded rows."""
        return self._prompt_mask.flatten().nonzero()[:, 0]
