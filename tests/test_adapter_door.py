"""Adapters over HTTP: what comes whole is kept, all else leaves nothing; strangers stay outside."""

import contextlib
import hashlib
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import uvicorn

import sampling.adapter_door as door_module
import sampling.adapter_store as store_module
from sampling.adapter_door import AdapterDoor
from sampling.adapter_store import FILES, MIB, AdapterStore, remove_abandoned
from tests.standin import live

CONFIG, WEIGHTS = FILES
TOKEN = "a-secret-of-this-test"


class Engine:
    """What stands behind the door: notes what gets through to it, and says 200."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        body = (await receive()).get("body", b"")
        self.seen.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"engine"})


@contextlib.contextmanager
def opened(tmp_path, limit=MIB):
    """A door on a port of its own; yields its address, its store, and the engine behind it."""
    engine, store = Engine(), AdapterStore(limit, parent=tmp_path)
    config = uvicorn.Config(AdapterDoor(engine, store), port=0, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client, store, engine
    server.should_exit = True
    thread.join(10)
    store.close()


@pytest.fixture
def door(tmp_path, monkeypatch):
    monkeypatch.delenv(door_module.TOKEN, raising=False)
    with opened(tmp_path) as one:
        yield one


def digest(content):
    return hashlib.sha256(content).hexdigest()


def put(client, name, file, content, checksum=None, **headers):
    sent = {"x-checksum-sha256": checksum or digest(content), **headers}
    return client.put(f"/adapters/{name}/{file}", content=content, headers=sent)


def files_of(store):
    """Every file below the store but its lock."""
    return sorted(p.name for p in store.folder.rglob("*") if p.is_file() and p.name != ".lock")


def raw(client, text, *, wait=5.0):
    """What a request typed by hand is answered, up to `wait` seconds."""
    with socket.create_connection((client.base_url.host, client.base_url.port)) as one:
        one.settimeout(wait)
        one.sendall(text)
        with contextlib.suppress(TimeoutError, ConnectionError):
            return one.recv(4096)
    return b""


def settled(condition):
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_an_adapter_that_comes_whole_is_where_the_reply_says(door):
    client, store, engine = door
    weights = os.urandom(300_000)
    first = put(client, "one", CONFIG, b"{}")
    assert (first.status_code, first.json()["complete"]) == (201, False)
    second = put(client, "one", WEIGHTS, weights)
    assert second.json()["complete"]
    assert (Path(second.json()["path"]) / WEIGHTS).read_bytes() == weights
    assert (Path(second.json()["path"]) / CONFIG).read_bytes() == b"{}"
    assert client.get("/adapters").json() == {"limit": MIB, "adapters": ["one"]}
    assert client.get("/v1/models").text == "engine"  # all else is vLLM's
    assert put(client, "one", WEIGHTS, weights).status_code == 201  # after a lost reply
    assert put(client, "one", WEIGHTS, b"other").status_code == 409  # adapters never change
    assert client.delete("/adapters/one").status_code == 200
    assert engine.seen[-1][:2] == ("POST", "/v1/unload_lora_adapter")
    assert json.loads(engine.seen[-1][2]) == {"lora_name": "one"}
    assert files_of(store) == []
    assert client.delete("/adapters/one").status_code == 404


NO_ADAPTERS = [
    "/adapters/../../etc/adapter_config.json",
    "/adapters/%2e%2e%2f%2e%2e/adapter_config.json",
    "/adapters/..%2fx/adapter_config.json",
    "/adapters/../adapter_config.json",
    "/adapters/%2e%2e/adapter_config.json",
    "/adapters/./adapter_config.json",
    "/adapters//adapter_config.json",
    "/adapters/a%00b/adapter_config.json",
    "/adapters/a%0a/adapter_config.json",
    "/adapters/ä/adapter_config.json",
    "/adapters/" + "a" * 129 + "/adapter_config.json",
    "/adapters/one/adapter_model.bin",
    "/adapters/one/tokenizer.json",
    "/adapters/one/sub/adapter_config.json",
    "/adapters/one/../two/../../../x/adapter_config.json",
    "/adapters/one/adapter_config.json/",
    "/adapters/one",
    "/adapters",
    "/adapters/",
]


def test_a_path_that_is_no_adapter_is_refused_and_leaves_nothing(door, tmp_path):
    client, store, _ = door
    for path in NO_ADAPTERS:
        head = f"PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nx-checksum-sha256: "
        answer = raw(client, (head + digest(b"{}") + "\r\n\r\n{}").encode())
        assert answer.split()[1] in (b"400", b"404"), (path, answer)
        assert files_of(store) == []
        assert list(tmp_path.iterdir()) == [store.folder]


@pytest.mark.parametrize("announced", [True, False], ids=["with its length", "in chunks"])
def test_an_adapter_over_the_limit_is_refused_by_a_line_that_names_the_option(door, announced):
    client, store, _ = door
    assert put(client, "one", CONFIG, b"x" * 1000).status_code == 201
    large = b"x" * (MIB - 999)  # a byte too many, together
    chunks = large if announced else iter([large[:65536], large[65536:]])
    reply = put(client, "one", WEIGHTS, chunks, checksum=digest(large))
    assert reply.status_code == 413
    assert "1 MiB" in reply.json()["error"]["message"]
    assert "--adapter-limit" in reply.json()["error"]["message"]
    assert files_of(store) == [CONFIG]
    assert put(client, "one", WEIGHTS, large[1:]).status_code == 201


def test_a_wrong_or_missing_checksum_is_refused(door):
    client, store, _ = door
    assert put(client, "one", CONFIG, b"{}", checksum="0" * 64).status_code == 400
    for header in ("short", "0" * 63, "g" * 64, "0" * 65):
        reply = put(client, "one", CONFIG, b"{}", checksum=header)
        assert reply.status_code == 400
        assert "X-Checksum-SHA256" in reply.json()["error"]["message"]
    assert client.put("/adapters/one/" + CONFIG, content=b"{}").status_code == 400
    assert files_of(store) == []
    assert put(client, "one", CONFIG, b"{}", checksum=digest(b"{}").upper()).status_code == 201


def head_of(length, content):
    return (
        f"PUT /adapters/one/{WEIGHTS} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n"
        f"x-checksum-sha256: {digest(content)}\r\n\r\n"
    ).encode()


def test_an_upload_of_another_length_than_announced_leaves_nothing(door):
    client, store, _ = door
    raw(client, head_of(20, b"x" * 10) + b"x" * 10, wait=0.3)  # hangs up ten bytes early
    assert settled(lambda: files_of(store) == [])
    answer = raw(client, head_of(10, b"x" * 20) + b"x" * 20)  # ten bytes too many
    assert answer.split()[1] == b"400"
    assert settled(lambda: files_of(store) == [])
    assert put(client, "one", WEIGHTS, b"x" * 10).status_code == 201


def test_an_upload_that_stops_is_given_up_and_leaves_nothing(door, monkeypatch):
    client, store, _ = door
    monkeypatch.setattr(door_module, "SILENCE", 0.3)
    begun = time.monotonic()
    answer = raw(client, head_of(20, b"x" * 20) + b"x" * 10)
    assert answer.split()[1] == b"408"
    assert time.monotonic() - begun < 3
    assert settled(lambda: files_of(store) == [])
    monkeypatch.setattr(door_module, "LONGEST", 0.6)  # a byte now and then does not help
    with socket.create_connection((client.base_url.host, client.base_url.port)) as one:
        one.sendall(head_of(50, b"x" * 50))
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                one.sendall(b"x")
                time.sleep(0.1)
        assert one.recv(100).split()[1] == b"408"
    assert settled(lambda: files_of(store) == [])


def test_uploads_at_the_same_time_do_not_mix(door):
    client, store, _ = door
    contents = [os.urandom(200_000) for _ in range(8)]
    with ThreadPoolExecutor(16) as pool:
        sent = [
            pool.submit(put, client, f"adapter-{i}", file, content + file.encode())
            for i, content in enumerate(contents)
            for file in FILES
        ]
        assert {one.result().status_code for one in sent} == {201}
        for i, content in enumerate(contents):
            for file in FILES:
                assert (
                    store.folder / f"adapter-{i}" / file
                ).read_bytes() == content + file.encode()
        rivals = [pool.submit(put, client, "same", WEIGHTS, content) for content in contents]
        codes = sorted(one.result().status_code for one in rivals)
    assert codes == [201] + [409] * 7
    assert (store.folder / "same" / WEIGHTS).read_bytes() in contents


def test_the_oldest_makes_room_once_vllm_has_forgotten_it(door, monkeypatch):
    client, store, engine = door
    monkeypatch.setattr(store_module, "HELD", 3)
    for i in range(5):
        assert put(client, f"n{i}", CONFIG, b"{}").status_code == 201
        assert put(client, f"n{i}", WEIGHTS, b"w").status_code == 201
    assert store.names() == ["n2", "n3", "n4"]
    unloaded = [json.loads(body)["lora_name"] for _, _, body in engine.seen]
    assert unloaded == ["n0", "n1"]


def test_a_full_disk_is_one_line_and_leaves_nothing(door, monkeypatch):
    client, store, _ = door

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.Incoming, "write", full)
    reply = put(client, "one", CONFIG, b"{}")
    assert (reply.status_code, files_of(store)) == (507, [])
    assert "no room" in reply.json()["error"]["message"]


def test_without_the_token_nothing_but_health_answers(tmp_path, monkeypatch):
    monkeypatch.setenv(door_module.TOKEN, TOKEN)
    with opened(tmp_path) as (client, store, engine):
        for word in (None, "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", TOKEN):
            headers = {"authorization": word} if word else {}
            refused = put(client, "one", CONFIG, b"{}", **headers)
            assert refused.status_code == 401
            assert door_module.TOKEN in refused.json()["error"]["message"]
            for method, path in [
                ("GET", "/v1/models"), ("POST", "/v1/load_lora_adapter"), ("POST", "/invocations"),
                ("POST", "/adapters"), ("GET", "/adapters"), ("DELETE", "/adapters/one"),
                ("GET", "/metrics"), ("GET", "/health/../v1/models"), ("OPTIONS", "/v1/models"),
            ]:  # fmt: skip
                assert client.request(method, path, headers=headers).status_code == 401, path
        assert engine.seen == []
        assert files_of(store) == []
        assert client.get("/health").text == "engine"
        assert put(client, "one", CONFIG, b"{}", authorization=f"Bearer {TOKEN}").status_code == 201


def test_what_a_killed_server_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    living = AdapterStore(MIB, parent=tmp_path)
    left = tmp_path / f"{store_module.PREFIX}left"
    left.mkdir()
    (left / WEIGHTS).write_bytes(b"x")
    remove_abandoned(tmp_path)
    assert left.exists()  # young: its server may be about to lock it
    old = time.time() - 2 * store_module.YOUNG
    for folder in (left, living.folder):
        os.utime(folder, (old, old))
    other = AdapterStore(MIB, parent=tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {living.folder.name, other.folder.name}
    living.close()
    other.close()
    assert list(tmp_path.iterdir()) == []
