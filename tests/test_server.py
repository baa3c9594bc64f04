"""A real vLLM server: the same completions and log-probs as in process, and no death unnoticed."""

import contextlib
import dataclasses
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.answers import Answerer
from app.runs import Library
from common.errors import UserError
from data import PromptTemplate
from models.loading import load_model, load_tokenizer
from sampling import SamplingParams, load_sampler
from sampling.server_stream import ServerStreams
from sampling.vllm_options import has_vllm
from tests.flaky import flaky, reconnect
from tests.served import adapters_at, kill_soon, served_by, tokens
from tests.test_sampling import (
    first_token_agreement,
    logprob_gap,
    make_policy,
    penalising,
    prompts_for,
    shake,
    tokens_of,
)
from train.config.sections import Lora
from train.policy import add_lora

pytestmark = [
    pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def server(base, tmp_path_factory):
    log = tmp_path_factory.mktemp("server") / "server.log"
    options = {"max_lora_rank": 8, "max_model_len": 256, "enforce_eager": True, "log": log}
    asks_penalties = penalising(base, log.parent / "base")  # the policy knows of none
    with load_sampler("vllm-server", asks_penalties, **options) as sampler:
        yield sampler


def test_logprobs_are_the_policys_after_each_update(server, base):
    policy = make_policy(base, 0)
    embedded = load_sampler("torch", policy.model, tokenizer=load_tokenizer(base))
    prompts = prompts_for(server.tokenizer, 16)
    for seed in (1, 2, 3):
        shake(policy.model, seed)
        server.update_adapter(policy)
        for temperature in (1.0, 0.7):
            policy.temperature = temperature
            groups = server.sample(prompts, 4, SamplingParams(temperature, 40, seed=seed))
            assert logprob_gap(policy, prompts, groups) < 1e-4
    assert tokens(server.sample(prompts, 4, SamplingParams(0.7, 40, seed=3))) == tokens(groups)
    greedy = tokens(server.sample(prompts, 1, SamplingParams(0.0, 40)))
    assert greedy == tokens(embedded.sample(prompts, 1, SamplingParams(0.0, 40)))
    stopped = [
        c for g in server.sample(prompts, 2, SamplingParams(1.0, 40, stop=("=",))) for c in g
    ]
    assert any(c.finish_reason == "stop" for c in stopped)
    assert not any("=" in c.text for c in stopped)
    shake(policy.model, 4)  # not handed over: the server's adapter is stale
    assert logprob_gap(policy, prompts, groups) > 0.01


def test_a_refusal_is_one_clear_line(server, base, tmp_path):
    with pytest.raises(UserError, match="context holds 256"):
        server.sample([[5] * 256], 1)
    (tmp_path / "other").symlink_to(base)
    with pytest.raises(UserError, match="does not serve"):
        load_sampler("vllm-server", tmp_path / "other", servers=[server.urls[0]])
    large = add_lora(load_model(base), Lora(rank=32, alpha=16), 0)
    large.save_pretrained(tmp_path / "large")
    with pytest.raises(UserError, match="rank"):
        server.update_adapter(tmp_path / "large")
    server.update_adapter(None)  # what was in service before the refusal leaves
    assert served_by(server) == [server.name]
    begun = time.monotonic()
    with pytest.raises(UserError, match="no vLLM server answers"):
        load_sampler("vllm-server", base, servers="http://127.0.0.1:9")
    assert time.monotonic() - begun < 10


def test_the_app_lets_servers_write_and_score_its_answers(server, base, finished_run, capsys):
    """Streamed, and without the base in the app's own memory."""
    with contextlib.closing(Answerer(server.urls)) as helped:
        compare_answers(Answerer(), helped, server, base, finished_run, capsys)
    assert served_by(server) == [server.name]


def compare_answers(alone, helped, server, base, finished_run, capsys):
    question = "Tom has 3 apples and finds 4. How many?"
    every = Library(finished_run.parent).choices()
    choices = [every[f"small: {name}"] for name in ("base", "step 4")]
    choices = [dataclasses.replace(choice, model=server.name) for choice in choices]
    assert isinstance(helped.bases.wait(server.name), ServerStreams)
    *_, streamed = helped.stream(question, choices, 0.0, 0)
    *_, wanted = alone.stream(question, choices, 0.0, 0)
    turns = [a.completion.token_ids for [a, _] in helped.stream(question, choices, 0.0, 0)]
    assert len(turns[0]) < len(turns[-1])
    for one, other in zip(streamed, wanted, strict=True):
        assert one.completion.token_ids == other.completion.token_ids
        assert one.completion.finish_reason == other.completion.finish_reason
        assert one.completion.logprobs == pytest.approx(other.completion.logprobs, abs=1e-4)
        asked = (one.choice, one.prompt, one.completion.token_ids)
        assert helped.logprobs(*asked) == pytest.approx(alone.logprobs(*asked), abs=1e-4)
    [*_, (_, groups)] = helped.sample(question, choices, 4, 0)
    assert [len(group) for group in groups] == [4, 4]
    server.update_adapter(choices[1].adapter)
    prompt = [PromptTemplate(server.tokenizer, "auto").encode(question)]
    params = SamplingParams(1.0, choices[1].max_tokens, 0)
    assert tokens(groups[1:]) == tokens(server.sample(prompt, 4, params))
    server.update_adapter(None)
    other = dataclasses.replace(choices[0], model=str(base.parent / "runs" / ".." / "base"))
    [*_, (_, mine)] = alone.sample("What is 2 + 2?", [other], 4, 0)
    [*_, (_, fallen_back)] = helped.sample("What is 2 + 2?", [other], 4, 0)
    assert tokens(mine) == tokens(fallen_back)
    assert "samples" in capsys.readouterr().err


def test_an_adapter_that_joins_leaves_the_base_alone(server, base, tmp_path):
    policy, [prompt] = make_policy(base, 3), prompts_for(server.tokenizer, 1)
    policy.save_pretrained(tmp_path)
    params = SamplingParams(2.0, 150, seed=4)  # so hot that hardly any completion ends early
    with contextlib.closing(Answerer(server.urls)) as helped:
        streams = helped.bases.wait(server.name)
        *_, adapters = streams.write(prompt, 8, tmp_path, params)  # it is on the server from now on
        *_, alone = streams.write(prompt, 8, None, params)
        growing = streams.write(prompt, 8, None, params)
        next(growing)
        joining = streams.write(prompt, 8, tmp_path, params)
        next(joining)
        *_, beside = growing
        *_, joined = joining
    for one, other in ((beside, alone), (joined, adapters)):
        assert tokens([one()]) == tokens([other()])
        for a, b in zip(one(), other(), strict=True):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
    assert tokens([beside()]) != tokens([joined()])


def test_overload_is_tried_again_and_a_dead_servers_prompts_go_to_the_others(server, capsys):
    prompts, asked = prompts_for(server.tokenizer, 6), SamplingParams(1.0, 20, seed=9)
    server.update_adapter(None)
    expected = tokens(server.sample(prompts, 2, asked))
    with flaky(server.urls[0], [429, 503, 0]) as (url, _):
        mine = load_sampler("vllm-server", server.name, servers=url)
        assert tokens(mine.sample(prompts, 2, asked)) == expected
        mine.close()
    with flaky(server.urls[0], [0] * 10_000) as (dead, kind), flaky(server.urls[0], []) as (url, _):
        mine = load_sampler("vllm-server", server.name, servers=[dead, url])
        assert tokens(mine.sample(prompts, 2, asked)) == expected
        assert mine.urls == [url]
        assert "going on with 1 other" in capsys.readouterr().err
        assert any("completions" in path for path in kind.seen)
        mine.close()


def test_a_server_cut_off_in_mid_batch_is_left_out_and_comes_back_with_the_present_adapter(
    server, base, capsys
):
    policy, asked = make_policy(base, 7), SamplingParams(1.0, 20, seed=3)
    prompts = prompts_for(server.tokenizer, 12)
    with flaky(server.urls[0], [], cut_at=4) as (cut, kind), flaky(server.urls[0], []) as (url, _):
        servers = {"servers": [cut, url], "patience": 2.0, "concurrency": 4}
        mine = load_sampler("vllm-server", server.name, adapter=policy, **servers)
        begun = time.monotonic()
        groups = mine.sample(prompts, 3, asked)
        assert time.monotonic() - begun < 30
        assert "no sign of life for 2 s; going on with 1 other" in capsys.readouterr().err
        assert mine.urls == [url]
        assert [len(group) for group in groups] == [3] * 12
        assert logprob_gap(policy, prompts, groups) < 1e-4

        shake(policy.model, 8)
        mine.update_adapter(policy)  # the one that is cut off does not hear of it
        asked_before = len(kind.seen)
        reconnect(kind)
        until = time.monotonic() + 30
        while mine.urls == [url] and time.monotonic() < until:
            groups = mine.sample(prompts, 3, asked)
            assert logprob_gap(policy, prompts, groups) < 1e-4
        assert mine.urls == [cut, url]
        assert logprob_gap(policy, prompts, mine.sample(prompts, 3, asked)) < 1e-4
        after = kind.seen[asked_before:]
        loaded, completed = after.index("/v1/load_lora_adapter"), after.index("/v1/completions")
        assert any(path.endswith(".safetensors") for path in after[:loaded])
        assert loaded < completed
        mine.close()
    assert served_by(server) == [server.name]


def test_an_adapter_goes_to_a_server_over_http_and_leaves_with_its_sampler(server, base, tmp_path):
    policy = make_policy(base, 6)
    prompts = prompts_for(server.tokenizer, 8)
    server.update_adapter(None)
    mine = load_sampler("vllm-server", server.name, servers=server.urls, adapter=policy)
    before, there = served_by(server), adapters_at(server)
    assert before == [server.name, *there]
    assert logprob_gap(policy, prompts, mine.sample(prompts, 4, SamplingParams(1.0, 20))) < 1e-4
    shake(policy.model, 2)
    mine.update_adapter(policy)
    assert len(adapters_at(server)) == 1
    assert adapters_at(server) != there
    [*_, card] = httpx.get(f"{server.urls[0]}/v1/models").json()["data"]
    assert not Path(card["root"]).is_relative_to(mine._folder)
    groups = mine.sample(prompts, 4, SamplingParams(1.0, 20))
    assert logprob_gap(policy, prompts, groups) < 1e-4

    httpx.delete(f"{server.urls[0]}/adapters/{adapters_at(server)[0]}")  # as if started again
    assert tokens(mine.sample(prompts, 4, SamplingParams(1.0, 20))) == tokens(groups)
    large = add_lora(load_model(base), Lora(rank=32, alpha=16), 0)
    with pytest.raises(UserError, match="rank"):
        mine.update_adapter(large)
    assert tokens(mine.sample(prompts, 4, SamplingParams(1.0, 20))) == tokens(groups)
    mine.close()
    assert (served_by(server), adapters_at(server)) == ([server.name], [])

    shared = {"servers": server.urls, "adapter": policy, "adapter_folder": tmp_path}
    with load_sampler("vllm-server", server.name, **shared):  # the other way
        assert adapters_at(server) == []
        [*_, card] = httpx.get(f"{server.urls[0]}/v1/models").json()["data"]
        assert Path(card["root"]).parent == tmp_path
    assert served_by(server) == [server.name]


def test_what_cannot_be_told_to_a_server_of_the_users_own_is_refused(server):
    with pytest.raises(UserError, match="MATHGRPO_TOKEN"):
        load_sampler("vllm-server", server.name, servers=server.urls, token="secret")


def test_a_sampler_that_is_closed_gives_up_what_is_asked(server):
    with flaky(server.urls[0], [], cut_at=1) as (url, kind):
        mine = load_sampler("vllm-server", server.name, servers=url)
        with ThreadPoolExecutor(1) as pool:
            flight = pool.submit(mine.sample, prompts_for(server.tokenizer, 4), 2)
            while kind.connected.is_set():
                time.sleep(0.01)
            mine.close()
            with pytest.raises(CancelledError):
                flight.result(timeout=20)


def test_two_prompts_are_sampled_independently(server, base):
    server.update_adapter(None)
    prompts = prompts_for(server.tokenizer, 12)
    for sampler in (server, load_sampler("torch", base)):
        excess, error = first_token_agreement(sampler, prompts, 32, seed=1)
        assert abs(excess) < 3 * error + 1e-3
    same = [prompts[0]] * 2
    once, twice = server.sample(same, 8, SamplingParams(1.0, 20, seed=2))
    assert tokens_of(once) != tokens_of(twice)


@pytest.mark.long
def test_copies_of_the_model_behind_one_address_all_have_the_adapter(base, tmp_path):
    options = {"max_lora_rank": 8, "max_model_len": 256, "enforce_eager": True}
    copies = {"data_parallel_size": 2, "log": tmp_path / "server.log"}
    with load_sampler("vllm-server", base, **options, **copies) as sampler:
        policy, prompts = make_policy(base, 9), prompts_for(sampler.tokenizer, 24)
        for seed in (1, 2, 3):
            shake(policy.model, seed)
            sampler.update_adapter(policy)
            groups = sampler.sample(prompts, 4, SamplingParams(1.0, 30, seed=seed))
            assert logprob_gap(policy, prompts, groups) < 1e-4


@pytest.mark.long
def test_a_killed_server_is_restarted_once_and_the_batch_is_whole(server, base):
    policy = make_policy(base, 5)
    server.update_adapter(policy)
    prompts = prompts_for(server.tokenizer, 40)
    kill_soon(server, 0.2)
    begun = time.monotonic()
    groups = server.sample(prompts, 8, SamplingParams(1.0, 60, seed=5))
    assert time.monotonic() - begun > 5, "the server was not restarted in mid-batch"
    assert [len(group) for group in groups] == [8] * 40
    assert logprob_gap(policy, prompts, groups) < 1e-4
    assert tokens(server.sample(prompts[:5], 8, SamplingParams(1.0, 60, seed=5))) == tokens(
        groups[:5]
    )

    kill_soon(server, 0.2)  # the second death
    begun = time.monotonic()
    with pytest.raises(UserError, match="not started again"):
        server.sample(prompts, 8, SamplingParams(1.0, 60, seed=6))
    assert time.monotonic() - begun < 10.5
