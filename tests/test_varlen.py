"""The layout of the one kernel for all lengths, with a kernel of plain loops in flash-attention's place."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from models.packed import FUSED, PackedGroups, hidden_states
from models.plain import shares_prompts
from models.selftest import choose_path
from models.varlen import Segments, may_fuse
from tests.families import small

GROUPS = [
    ([[5, 9, 30], [7] * 6], [[[7] * 5, [8], [9, 10]], [[11] * 12, [3, 4, 5]]]),
    ([[5], [6, 7]], [[[7]], [[8]]]),  # completions of one token feed nothing
    ([[5, 6, 7]], [[]]),
]


def loops(query, key, value, query_starts, key_starts, longest_query, longest_key, scale):
    """Causal from the end, one sequence at a time: what flash-attention promises."""
    out, sizes = [], []
    starts = zip(*(itertools.pairwise(x.tolist()) for x in (query_starts, key_starts)), strict=True)
    for (q0, q1), (k0, k1) in starts:
        q, k, v = (x.transpose(0, 1)[None] for x in (query[q0:q1], key[k0:k1], value[k0:k1]))
        sees = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(k.shape[2] - q.shape[2])
        one = F.scaled_dot_product_attention(q, k, v, attn_mask=sees, scale=scale, enable_gqa=True)
        out.append(one[0].transpose(0, 1))
        sizes.append((q1 - q0, k1 - k0))
    assert (longest_query, longest_key) == tuple(map(max, zip(*sizes, strict=True)))
    assert query_starts.dtype == key_starts.dtype == torch.int32
    return torch.cat(out)


@pytest.mark.parametrize("groups", GROUPS)
def test_segments_see_what_the_packed_layout_lets_them_see(groups):
    layout = PackedGroups(*groups)
    segments = Segments(layout._prompt_spans, layout._spans, "cpu", kernel=loops)
    found = []
    for way in (layout, segments):
        torch.manual_seed(0)
        q, k, v = (
            torch.randn(heads, len(layout.ids), 8, dtype=torch.float64, requires_grad=True)
            for heads in (4, 2, 2)
        )
        out = way.attend(0, q, k, v, 0.3)
        (out * torch.arange(out.numel()).view_as(out)).sum().backward()
        found.append((out, q.grad, k.grad, v.grad))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)


def test_a_whole_model_computes_the_same_by_segments(monkeypatch):
    monkeypatch.setattr("models.varlen._flash", loops)
    model = choose_path("llama", small("llama"))
    layout = PackedGroups(*GROUPS[0])
    wanted = hidden_states(model, layout.ids, layout.positions, layout)
    model.set_attn_implementation(FUSED)
    assert shares_prompts(model)
    found = hidden_states(model, layout.ids, layout.positions, layout)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_where_the_kernel_errs_the_self_test_takes_another_way(monkeypatch):
    monkeypatch.setattr("models.selftest.may_fuse", lambda *_: True)
    ways = {}
    for name, kernel in {
        "right": loops,
        "blind": lambda q, k, v, qs, ks, lq, lk, scale: loops(q, k, v * 0, qs, ks, lq, lk, scale),
        "missing": lambda *_: {}["no such kernel"],
    }.items():
        monkeypatch.setattr("models.varlen._flash", kernel)
        model = choose_path("llama", small("llama"))
        assert shares_prompts(model)
        ways[name] = model.config._attn_implementation == FUSED
    assert ways == {"right": True, "blind": False, "missing": False}


def test_flash_attention_is_not_asked_on_a_cpu_nor_in_float32():
    assert not may_fuse(torch.device("cpu"), torch.bfloat16)
    assert not may_fuse(torch.device("cuda"), torch.float32)
