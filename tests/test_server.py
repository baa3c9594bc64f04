"""A real vLLM server: the same completions and log-probs as in process, and no death unnoticed."""

import dataclasses
import os
import signal
import threading
import time

import pytest

from app.answers import Answerer
from app.runs import find_choices
from common.errors import UserError
from data import PromptTemplate
from sampling import load_sampler
from sampling.model import load_model, load_tokenizer
from sampling.sampler import has_vllm
from tests.test_sampling import logprob_gap, make_policy, prompts_for, shake
from train.policy import add_lora
from train.sections import Lora

pytestmark = [
    pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def server(base, tmp_path_factory):
    log = tmp_path_factory.mktemp("server") / "server.log"
    options = {"max_lora_rank": 8, "max_model_len": 256, "enforce_eager": True, "log": log}
    with load_sampler("vllm-server", base, **options) as sampler:
        yield sampler


def tokens(groups):
    return [[c.token_ids for c in group] for group in groups]


def test_logprobs_are_the_policys_after_each_update(server, base):
    policy = make_policy(base, 0)
    embedded = load_sampler("torch", policy.model, tokenizer=load_tokenizer(base))
    prompts = prompts_for(server.tokenizer, 16)
    for seed in (1, 2, 3):
        shake(policy.model, seed)
        server.update_adapter(policy)
        for temperature in (1.0, 0.7):
            policy.temperature = temperature
            groups = server.sample(prompts, 4, temperature, 40, seed=seed)
            assert logprob_gap(policy, prompts, groups) < 1e-4
    assert tokens(server.sample(prompts, 4, 0.7, 40, seed=3)) == tokens(groups)
    greedy = tokens(server.sample(prompts, 1, 0.0, 40))
    assert greedy == tokens(embedded.sample(prompts, 1, 0.0, 40))
    stopped = [c for g in server.sample(prompts, 2, 1.0, 40, stop=["="]) for c in g]
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
    begun = time.monotonic()
    with pytest.raises(UserError, match="no vLLM server answers"):
        load_sampler("vllm-server", base, servers="http://127.0.0.1:9")
    assert time.monotonic() - begun < 10


def test_the_app_lets_servers_write_its_samples(server, base, finished_run, capsys):
    alone, helped = Answerer(), Answerer(server.urls)
    choices = list(find_choices(finished_run.parent).values())[::2]  # the base and a checkpoint
    [*_, groups] = helped.sample("Tom has 3 apples and finds 4. How many?", choices, 4, 0)
    assert [len(group) for group in groups] == [4, 4]
    [*_, again] = helped.sample("Tom has 3 apples and finds 4. How many?", choices, 4, 0)
    assert tokens(again) == tokens(groups)
    for choice, group in zip(choices, groups, strict=True):
        prompt = PromptTemplate(server.tokenizer, "auto").encode(
            "Tom has 3 apples and finds 4. How many?"
        )
        found = load_sampler("torch", base).score(prompt, group[0].token_ids, choice.adapter)
        assert found == pytest.approx(group[0].logprobs, abs=1e-4)
    other = dataclasses.replace(choices[0], model=str(base.parent / "runs" / ".." / "base"))
    [*_, mine] = alone.sample("What is 2 + 2?", [other], 4, 0)
    [*_, fallen_back] = helped.sample("What is 2 + 2?", [other], 4, 0)
    assert tokens(mine) == tokens(fallen_back)
    assert "samples" in capsys.readouterr().err


def kill_soon(server, seconds):
    def kill():
        time.sleep(seconds)
        os.killpg(server.server.pid, signal.SIGKILL)

    threading.Thread(target=kill).start()


def test_a_killed_server_is_restarted_once_and_the_batch_is_whole(server, base):
    policy = make_policy(base, 5)
    server.update_adapter(policy)
    prompts = prompts_for(server.tokenizer, 40)
    kill_soon(server, 1.0)
    begun = time.monotonic()
    groups = server.sample(prompts, 8, 1.0, 60, seed=5)
    assert time.monotonic() - begun > 5, "the server was not restarted in mid-batch"
    assert [len(group) for group in groups] == [8] * 40
    assert logprob_gap(policy, prompts, groups) < 1e-4
    assert tokens(server.sample(prompts[:5], 8, 1.0, 60, seed=5)) == tokens(groups[:5])

    kill_soon(server, 0.5)  # the second death
    begun = time.monotonic()
    with pytest.raises(UserError, match="not started again"):
        server.sample(prompts, 8, 1.0, 60, seed=6)
    assert time.monotonic() - begun < 10.5
