"""Several servers, seen from their client: whoever dies, falls silent or comes back, each request
has one reply, by the present adapter. The servers are stand-ins with a real door and real sockets;
tests/test_server.py and tests/test_hosts.py do the same with vLLM.
"""

import threading
import time

import pytest

from common.errors import UserError
from sampling.adapter_door import TOKEN
from sampling.adapter_store import FILES, MIB
from sampling.remote import Adapter
from tests.standin import MODEL, Host, client, two_hosts


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    with two_hosts(tmp_path) as both:
        yield both


@pytest.fixture
def adapter(tmp_path):
    def make(name):
        folder = tmp_path / "trainer" / name
        folder.mkdir(parents=True)
        for file in FILES:
            (folder / file).write_text(name + file)
        return Adapter(name, folder)

    return make


def ask(servers, count=12):
    bodies = [{"prompt": [i]} for i in range(count)]
    replies = servers.run(servers.complete(bodies))
    assert [reply["prompt"] for reply in replies] == [[i] for i in range(count)]
    return {reply["model"] for reply in replies}


def urls(servers):
    return [server.url for server in servers.in_service()]


def test_servers_share_the_work_and_have_the_present_adapter_alone(hosts, adapter):
    with client(hosts) as servers:
        assert ask(servers) == {MODEL}
        assert {len(host.engine.completed) for host in hosts} == {6}
        for name in ("first", "second"):
            servers.run(servers.use(adapter(name)))
            assert ask(servers) == {name}
            contents = [(name + file).encode() for file in FILES]
            assert [host.engine.adapters for host in hosts] == [{name: contents}] * 2
            assert [host.store.names() for host in hosts] == [[name]] * 2
    assert [host.engine.adapters for host in hosts] == [{}, {}]
    assert [host.store.names() for host in hosts] == [[], []]


def test_a_server_cut_off_is_left_out_and_back_with_the_adapter_of_the_day(hosts, adapter, capsys):
    cut, alive = hosts
    with client(hosts) as servers:
        servers.run(servers.use(adapter("first")))
        cut.engine.cut_at = 2
        begun = time.monotonic()
        assert ask(servers) == {"first"}
        assert 0.9 < time.monotonic() - begun < 8
        assert urls(servers) == [alive.url]
        assert len(alive.engine.completed) == 10  # what the other answered is not asked again
        assert "no sign of life for 1 s; going on with 1 other" in capsys.readouterr().err

        servers.run(servers.use(adapter("second")))
        cut.reconnect()
        until = time.monotonic() + 20
        while len(urls(servers)) == 1 and time.monotonic() < until:
            assert ask(servers) == {"second"}
        assert "is back" in capsys.readouterr().err
        assert ask(servers) == {"second"}
        servers.run(servers.use(adapter("third")))
        assert ask(servers) == {"third"}
        assert [list(host.engine.adapters) for host in hosts] == [["third"]] * 2  # none is left
        assert [host.store.names() for host in hosts] == [["third"]] * 2


def test_a_server_that_hangs_while_it_gets_an_adapter_is_left_out(hosts, adapter):
    with client(hosts) as servers:
        ask(servers, 2)
        hosts[0].loop.call_soon_threadsafe(hosts[0].engine.connected.clear)
        servers.run(servers.use(adapter("first")))
        assert urls(servers) == [hosts[1].url]
        assert ask(servers) == {"first"}


def test_when_all_are_cut_off_the_last_is_waited_for(hosts):
    with client(hosts) as servers:
        for host in hosts:
            host.engine.cut_at = 1
        back = threading.Timer(3, lambda: [host.reconnect() for host in hosts])
        back.start()
        assert ask(servers) == {MODEL}
        assert not back.is_alive()


def test_a_server_started_again_gets_the_adapter_once_more(hosts, adapter):
    with client(hosts[:1]) as servers:
        servers.run(servers.use(adapter("first")))
        hosts[0].forget()
        assert ask(servers) == {"first"}


def test_a_server_back_with_less_context_or_another_model_is_not_asked(hosts, adapter):
    cut, alive = hosts
    with client(hosts) as servers:
        cut.engine.cut_at = 2
        ask(servers)
        cut.engine.max_model_len = 100
        cut.reconnect()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            ask(servers)
        assert urls(servers) == [alive.url]
        assert servers.context == 512


def test_an_adapter_that_one_server_refuses_is_served_by_none(hosts, adapter):
    with client(hosts) as servers:
        servers.run(servers.use(adapter("first")))
        hosts[1].engine.refuses_adapters = True
        with pytest.raises(UserError, match="rank 99"):
            servers.run(servers.use(adapter("second")))
        assert [list(host.engine.adapters) for host in hosts] == [["first"]] * 2
        assert [host.store.names() for host in hosts] == [["first"]] * 2
        assert ask(servers) == {"first"}


def test_an_adapter_over_the_limit_is_refused_by_a_line_that_names_the_option(
    tmp_path, adapter, monkeypatch
):
    monkeypatch.delenv(TOKEN, raising=False)
    host, large = Host(tmp_path / "one", limit=MIB), adapter("large")
    (large.folder / FILES[1]).write_bytes(b"x" * 8 * MIB)
    with client([host]) as servers:
        with pytest.raises(UserError, match=r"1 MiB.*--adapter-limit"):
            servers.run(servers.use(large))
        assert ask(servers) == {MODEL}
        assert host.store.names() == []
    host.close()


def test_the_token_comes_from_the_environment(tmp_path, adapter, monkeypatch):
    monkeypatch.setenv(TOKEN, "right")
    host = Host(tmp_path / "one")
    with client([host]) as servers:
        servers.run(servers.use(adapter("first")))
        assert ask(servers) == {"first"}
    for wrong in ("wrong", ""):
        monkeypatch.setenv(TOKEN, wrong)
        with pytest.raises(UserError, match=f"set {TOKEN}"), client([host]):
            pass
    host.close()


def test_when_no_server_is_left_it_is_one_line(hosts):
    with client(hosts) as servers:
        for host in hosts:
            host.close()
        with pytest.raises(UserError, match="no vLLM server answers"):
            ask(servers)
