"""Answers that come in pieces from servers: each comes to its end once, or ends in one clear line.

The servers are stand-ins with a real door and real sockets (tests/standin.py); tests/test_server.py
does the same with vLLM.
"""

import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import sampling.remote
import sampling.server_stream
from common.errors import UserError
from sampling import SamplingParams
from sampling.adapter_door import TOKEN
from sampling.server_sampler import ServerSampler
from sampling.server_stream import ServerStreams
from tests import standin
from tests.standin import two_hosts

BODY = {"prompt": [1, 2], "n": 2}
WHOLE = [0, 1, 2, 3, 4]
BROKEN = ("closed", "done too early", "half a line", "cut", "error", "abort", "silent")


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setattr(sampling.remote, "BACKOFF", 0.01)
    with two_hosts(tmp_path) as both:
        yield both


client = functools.partial(standin.client, patience=0.5)


def read(servers, tokens=None):
    """The tokens of each choice of a stream, as far as it goes."""
    tokens = tokens or [[], []]
    for piece in servers.stream(BODY, None):
        for choice in piece["choices"]:
            tokens[choice["index"]] += choice["token_ids"]
    return tokens


def test_a_stream_refused_for_the_moment_is_asked_again_and_one_that_is_wrong_is_not(hosts):
    engine = hosts[0].engine
    with client(hosts[:1]) as servers:
        engine.refusals = [429, 503, 500]
        assert read(servers) == [WHOLE, WHOLE]
        assert engine.begun == 4
        engine.refusals = [400]
        with pytest.raises(UserError, match="400 come back later"):
            read(servers)
        assert engine.begun == 5
        engine.refusals = [503] * 4
        with pytest.raises(UserError, match=r"cannot answer \(503 come back later"):
            read(servers)


def test_a_stream_refused_by_one_server_is_written_by_another(hosts, capsys):
    hosts[0].engine.refusals = [503] * 9
    with client(hosts) as servers:
        assert read(servers) == [WHOLE, WHOLE]
    assert hosts[1].engine.begun == 1
    assert "going on with 1 other" in capsys.readouterr().err


@pytest.mark.parametrize("ending", BROKEN)
def test_a_stream_that_breaks_off_is_never_taken_for_finished(hosts, ending):
    for host in hosts:
        host.engine.ends_at, host.engine.ending = 2, ending
    begun, tokens = time.monotonic(), [[], []]
    with client(hosts) as servers:
        with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:\d+: [^\n]*$"):
            read(servers, tokens)
        assert [ids[:2] for ids in tokens] == [[0, 1], [0, 1]]  # what was read is not asked again
        assert time.monotonic() - begun < 8
        assert sum(host.engine.begun for host in hosts) == 1


@pytest.mark.parametrize("ending", BROKEN)
def test_a_stream_that_breaks_off_before_anything_was_read_is_written_by_another(hosts, ending):
    hosts[0].engine.ends_at, hosts[0].engine.ending = 0, ending
    with client(hosts) as servers:
        assert read(servers) == [WHOLE, WHOLE]
        assert [host.engine.begun for host in hosts] == [1, 1]


def test_a_server_that_sends_no_token_ids_is_named_in_one_line(hosts):
    hosts[0].engine.tells_tokens = False
    with client(hosts[:1]) as servers:
        for answers in (lambda: read(servers), lambda: servers.run(servers.complete([BODY]))):
            with pytest.raises(UserError, match=rf"{hosts[0].url}: .* sends no token ids"):
                answers()


def test_a_silent_server_is_noticed_while_others_go_on_asking(hosts):
    hosts[0].engine.ends_at, hosts[0].engine.ending = 2, "silent"
    with client(hosts, patience=1.0) as servers, ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        hung = pool.submit(read, servers)
        while not hosts[0].engine.begun:
            time.sleep(0.01)
        while not hung.done() and time.monotonic() - begun < 6:
            busy = servers.stream(BODY, None)  # on the other server: it has fewer on their way
            next(busy)
            time.sleep(0.2)
            busy.close()
        assert hung.done()
        with pytest.raises(UserError, match="no sign of life for 1 s"):
            hung.result()


def test_streams_take_their_places_among_the_requests(hosts):
    for host in hosts:
        host.engine.ends_at = 20
    with client(hosts) as servers, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: read(servers), range(10)))
        assert answers == [[[*range(21)]] * 2] * 10
        left = servers.stream(BODY, None)
        next(left)
        left.close()  # its place is free again, four times over
        assert [read(servers) for _ in range(4)] == answers[:4]
    assert [host.engine.most_streaming for host in hosts] == [2, 2]


def test_the_answer_that_a_server_gave_up_ends_in_one_line(hosts, base):
    """Also through the sampler, whose completions hold the pieces together."""
    for host in hosts:
        host.engine.root = str(base)
    with ServerSampler(str(base), servers=[host.url for host in hosts]) as sampler:
        streams = ServerStreams(sampler)
        *_, grown = streams.write([1, 2], 2, None, SamplingParams(1.0, 9))
        assert [c.token_ids for c in grown()] == [WHOLE, WHOLE]
        assert {c.finish_reason for c in grown()} == {"stop"}
        for reason in ("abort", "a reason of next year"):
            for host in hosts:
                host.engine.ending = reason
            with pytest.raises(UserError, match=reason):
                list(streams.write([1, 2], 2, None, SamplingParams(1.0, 9)))


def test_people_who_ask_for_a_new_adapter_at_once_share_one(hosts, base, finished_run, monkeypatch):
    engine = hosts[0].engine
    engine.root = str(base)
    together = threading.Barrier(4)
    check = sampling.server_stream.check_adapter

    def slow(*asked):
        time.sleep(0.05)
        return check(*asked)

    monkeypatch.setattr(sampling.server_stream, "check_adapter", slow)
    with ServerSampler(str(base), servers=hosts[0].url) as sampler:
        streams = ServerStreams(sampler)

        def write(_):
            together.wait()
            adapter = finished_run / "checkpoints" / "step_000004"
            *_, grown = streams.write([1, 2], 2, adapter, SamplingParams(1.0, 9))
            return [c.token_ids for c in grown()]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(write, range(4))) == [[WHOLE, WHOLE]] * 4
        assert len(engine.adapters) == 1
