"""`mathgrpo serve`: what it refuses, whom it lets in, what it leaves nowhere."""

import importlib.metadata
import inspect

import pytest
import torch

import sampling.adapter_door as door_module
from common.errors import UserError
from sampling.__main__ import check_token, is_loopback, main
from sampling.adapter_store import FILES
from sampling.server import server_command, server_environment
from sampling.vllm_options import PLUGIN, has_vllm
from sampling.vllm_plugin import OPERATIONS, spare_base_rows, sparing
from tests.conftest import config_of
from tests.fork_server import command

CONFIG, WEIGHTS = FILES
TOKEN = "a-secret-of-this-test"


def test_other_machines_are_let_in_with_a_token_only(monkeypatch):
    monkeypatch.delenv(door_module.TOKEN, raising=False)
    for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost"):
        assert is_loopback(host)
        check_token(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "gpu1", "", "localhost.example"):
        with pytest.raises(UserError, match=door_module.TOKEN):
            check_token(host)
    monkeypatch.setenv(door_module.TOKEN, TOKEN)
    check_token("0.0.0.0")
    for word in ("two words", "naïve", "line\nbreak"):
        monkeypatch.setenv(door_module.TOKEN, word)
        with pytest.raises(UserError, match="ASCII"):
            check_token("127.0.0.1")


def test_serve_says_what_is_wrong_before_it_starts(monkeypatch):
    monkeypatch.delenv(door_module.TOKEN, raising=False)
    for words, said in [
        (["--host", "0.0.0.0"], door_module.TOKEN),
        (["--host", "gpu1", "--port", "9"], door_module.TOKEN),
        (["--api-key", "x"], "--api-key"),
        (["--logprobs-mode=raw_logits"], "--logprobs-mode"),
        (["--adapter-limit", "0"], "--adapter-limit"),
    ]:
        with pytest.raises(UserError, match=said):
            main(["serve", "m", *words])


@pytest.mark.long
@pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform")
def test_options_that_are_not_ours_are_vllms_or_refused(base):
    for words, said in [
        (["--max-num-sequences", "8"], "unrecognized arguments: --max-num-sequences"),
        (["--max-num-seqs", "many"], "--max-num-seqs"),
    ]:
        done = command("sampling", "serve", base, *words)
        assert done.returncode == 2
        assert said in done.stderr.splitlines()[-1]


def test_the_token_is_in_no_command_line_and_in_no_runs_folder(monkeypatch):
    monkeypatch.setenv(door_module.TOKEN, TOKEN)
    words = server_command("m", host="0.0.0.0", port=1, max_lora_rank=8)
    assert not any(TOKEN in word for word in words)
    assert server_environment()["VLLM_API_KEY"] == TOKEN
    monkeypatch.delenv(door_module.TOKEN)
    monkeypatch.setenv("VLLM_API_KEY", "of another server")
    assert server_environment()["VLLM_API_KEY"] == ""
    for options in (
        {"token": TOKEN},
        {"api_key": TOKEN},
        {"servers": [f"http://me:{TOKEN}@gpu1:8000"]},
        {"servers": f"http://me:{TOKEN}@gpu1:8000"},
    ):
        with pytest.raises(UserError, match=door_module.TOKEN):
            config_of("x", "x", sampling={"options": options})


def test_our_plugin_is_loaded_whatever_other_plugins_are_named(monkeypatch):
    [found] = importlib.metadata.entry_points(group="vllm.general_plugins", name=PLUGIN)
    assert found.load() is spare_base_rows
    for named, wanted in (("", PLUGIN), ("theirs", f"theirs,{PLUGIN}")):
        monkeypatch.setenv("VLLM_PLUGINS", named)
        assert server_environment()["VLLM_PLUGINS"] == wanted
    monkeypatch.delenv("VLLM_PLUGINS")
    assert "VLLM_PLUGINS" not in server_environment()


@pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed on this platform")
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_leaves_the_bases_rows_alone_and_no_others(name):
    from vllm.lora.ops.torch_ops import lora_ops

    plain = inspect.unwrap(getattr(lora_ops, name))
    x, weights = torch.randn(3, 4), torch.randn(2, 1, 5, 4)
    where = (0, 5) if name == "bgmv_expand_slice" else ()
    before, slots = torch.randn(3, 5), torch.tensor([1, -1, 0])
    wrong, right, adapters = before.clone(), before.clone(), before.clone()
    plain(x, weights, wrong, slots, *where)
    assert not torch.equal(wrong[1], before[1])  # the fault is still there
    sparing(plain)(x, weights, right, slots, *where)
    assert torch.equal(right[1], before[1])
    plain(x, weights, adapters, slots.clamp(min=0), *where)
    assert torch.equal(right[[0, 2]], adapters[[0, 2]])
