"""One batch for everybody who asks: each gets the tokens he would get alone, and holds up nobody."""

import shutil

import pytest

from common.errors import UserError
from models.loading import load_tokenizer
from models.selftest import choose_path
from sampling import SamplingParams
from sampling.shared_batch import MAX_ROWS, SharedBatch
from sampling.torch_sampler import TorchSampler
from tests.families import small
from tests.test_sampling import prompts_for


@pytest.fixture(scope="module")
def sampler(base):
    return TorchSampler(str(base))


@pytest.fixture(scope="module")
def adapters(finished_run):
    return [None, *(str(finished_run / "checkpoints" / f"step_00000{n}") for n in (2, 4))]


def finish(going):
    """Let all requests of a batch take turns until they end; one joins at each turn."""
    last = [None] * len(going)
    open_, turn = set(range(len(going))), 0
    while open_:
        for at in sorted(open_):
            if at <= turn and (request := next(going[at], None)) is not None:
                last[at] = request
            elif at <= turn:
                open_.remove(at)
        turn += 1
    return last


def test_who_joins_others_gets_the_tokens_that_he_gets_alone(sampler, adapters, base):
    batch, alone = SharedBatch(sampler), TorchSampler(str(base))
    prompts = prompts_for(sampler.tokenizer, 2)
    asked = [
        (prompt, 3, adapter, params)
        for prompt in prompts
        for adapter in adapters
        for params in (
            SamplingParams(0.0, 30),
            SamplingParams(1.0, 50, seed=5),
            SamplingParams(0.8, 40, seed=1, top_k=7, stop=("=",)),
        )
    ]
    for (prompt, n, adapter, params), request in zip(
        asked, finish([batch.write(*one) for one in asked]), strict=True
    ):
        alone.update_adapter(adapter)
        [wanted] = alone.sample([prompt], n, params)
        found = request.completions(sampler.tokenizer)
        assert [c.token_ids for c in found] == [c.token_ids for c in wanted]
        assert [(c.text, c.finish_reason) for c in found] == [
            (c.text, c.finish_reason) for c in wanted
        ]
        for one, other in zip(found, wanted, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_a_family_with_its_own_attention_is_answered_too(kind, base):
    model = choose_path(kind, small(kind))
    sampler = TorchSampler(model, tokenizer=load_tokenizer(base))
    batch = SharedBatch(sampler)
    asked = [([5, 9, 30, 41], 2, None, SamplingParams(1.0, 24, seed=4))]
    asked.append(([7, 8, 80, 33, 21], 3, None, SamplingParams(0.0, 12)))
    for (prompt, n, _, params), request in zip(
        asked, finish([batch.write(*one) for one in asked]), strict=True
    ):
        [wanted] = sampler.sample([prompt], n, params)
        found = request.completions(sampler.tokenizer)
        assert [c.token_ids for c in found] == [c.token_ids for c in wanted]


def test_one_step_serves_everybody(sampler):
    """Twenty people have a token more for one pass."""
    batch = SharedBatch(sampler)
    prompt = prompts_for(sampler.tokenizer, 1)[0]
    passes = []
    forward = sampler.forward
    sampler.forward = lambda adapter: passes.append(adapter) or forward(adapter)
    try:
        many = [batch.write(prompt, 1, None, SamplingParams(1.0, 60, seed=n)) for n in range(20)]
        requests = [next(one) for one in many]  # each joins with a pass over its own prompt
        turns, before = [request.turn for request in requests], len(passes)
        for one in many:
            next(one, None)
        assert len(passes) - before == 1
        assert all(r.turn == t + 1 or r.done for r, t in zip(requests, turns, strict=True))
        assert sum(not r.done for r in requests) > 5
    finally:
        del sampler.forward
    for one in many:
        one.close()


def test_who_leaves_takes_no_room_and_stops_nobody(sampler):
    batch = SharedBatch(sampler)
    prompt = prompts_for(sampler.tokenizer, 1)[0]
    going = batch.write(prompt, MAX_ROWS, None, SamplingParams(1.0, 40, seed=1))
    waits = batch.write(prompt, 1, None, SamplingParams(0.0, 40))
    next(going)
    going.close()
    assert next(waits).turn == 1
    rows = batch._running[None]
    assert len(rows.owners) == len(rows.cache.lengths) == 1
    assert all(len(keys) == 1 for keys in rows.cache.keys.values())
    assert list(waits)[-1].done
    assert not batch._running


def test_more_rows_than_fit_wait_for_their_turn(sampler):
    batch = SharedBatch(sampler)
    prompt = prompts_for(sampler.tokenizer, 1)[0]
    params = SamplingParams(1.0, 3, seed=1)
    asked = [batch.write(prompt, MAX_ROWS, None, params) for _ in range(2)]
    assert all(request.done for request in finish(asked))


def test_adapters_come_and_go_and_few_stay_in_memory(base, finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr("sampling.shared_batch.MAX_ADAPTERS", 2)
    sampler, alone = TorchSampler(str(base)), TorchSampler(str(base))
    batch, prompt = SharedBatch(sampler), prompts_for(sampler.tokenizer, 1)[0]
    params = SamplingParams(1.0, 12, seed=3)
    held = batch.write(prompt, 2, finished_run / "checkpoints" / "step_000002", params)
    next(held)  # at work all the while
    folders: list = [None]
    for n, step in enumerate([4, 2, 4, 2]):
        folders.append(tmp_path / str(n))
        shutil.copytree(finished_run / "checkpoints" / f"step_00000{step}", folders[-1])
    for folder in [*folders, *folders]:
        *_, request = batch.write(prompt, 2, folder, params)
        alone.update_adapter(folder)
        [wanted] = alone.sample([prompt], 2, params)
        assert request.tokens == [c.token_ids for c in wanted]
        assert len(sampler.model.peft_config) <= 3
    alone.update_adapter(finished_run / "checkpoints" / "step_000002")
    assert list(held)[-1].tokens == [c.token_ids for c in alone.sample([prompt], 2, params)[0]]


def test_an_error_is_told_to_whom_it_concerns(sampler, tmp_path):
    batch = SharedBatch(sampler)
    prompt = prompts_for(sampler.tokenizer, 1)[0]
    going = batch.write(prompt, 1, None, SamplingParams(0.0, 10))
    next(going)
    with pytest.raises(UserError, match="adapter"):
        next(batch.write(prompt, 1, tmp_path, SamplingParams()))
    with pytest.raises(UserError, match="context holds"):
        next(batch.write([5] * 10_000, 1, None, SamplingParams()))
    assert list(going)[-1].done
