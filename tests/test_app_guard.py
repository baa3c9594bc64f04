"""What stands before the page: hosts, origins, headers, log-ins; no function trusts its values."""

import contextlib
import json
import re
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import httpx
import pytest

from tests.conftest import serve, serve_as, visit
from tests.fork_server import Command, preload

OFF = [
    "/gradio_api/upload",
    "/gradio_api/upload_progress?upload_id=x",
    "/gradio_api/proxy=http://127.0.0.1:9/x",
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/component_server",
    "/gradio_api/deep_link",
    "/monitoring",
]


def get(address, path="/", **headers):
    return httpx.get(address + path, headers=headers, timeout=20)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_somebody_else_points_here_reads_nothing(address, host):
    for path in ("/", "/config", "/gradio_api/info"):
        assert get(address, path, Host=host).status_code in (400, 403)
    port = address.rpartition(":")[2]
    for good in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert get(address, "/config", Host=good).status_code == 200


def test_other_sites_may_neither_post_nor_frame_the_page(address):
    url = f"{address}/gradio_api/call/checkpoints"
    for origin in ("http://evil.example", "null", address.replace("http:", "x:") + "9"):
        sent = httpx.post(url, json={"data": []}, headers={"Origin": origin})
        assert sent.status_code == 403
    assert httpx.post(url, json={"data": []}, headers={"Origin": address}).status_code == 200
    told = get(address).headers
    assert "frame-ancestors 'none'" in told["content-security-policy"]
    assert "connect-src 'self'" in told["content-security-policy"]
    assert told["x-frame-options"] == "DENY"
    assert told["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", OFF)
def test_uploads_files_and_proxied_pages_are_off(address, path):
    assert get(address, path).status_code == 404
    sent = httpx.post(address + path, files={"files": ("a.txt", b"x")}, timeout=20)
    assert sent.status_code == 404


@pytest.fixture(scope="module")
def locked(finished_run):
    with serve(finished_run.parent, "--auth", "ann:right-word") as address:
        yield address


def log_in(address, password):
    data = {"username": "ann", "password": password}
    return httpx.post(f"{address}/login", data=data, timeout=60)


def test_wrong_passwords_are_answered_one_a_second(locked):
    begun = time.monotonic()
    for _ in range(3):
        assert log_in(locked, "wrong").status_code == 400
    assert time.monotonic() - begun > 1.9
    assert log_in(locked, "right-word").status_code == 200


def test_who_logs_out_must_log_in_again(browser, locked):
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(locked)
    page.get_by_label("username", exact=False).fill("ann")
    page.get_by_label("password", exact=False).fill("right-word")
    assert page.title() == "mathgrpo"
    page.get_by_role("button", name="Login").click()
    page.wait_for_selector("#log-out")
    page.click("#log-out")
    page.get_by_role("button", name="Login").wait_for()
    page.close()


def test_the_app_can_be_bound_to_the_ipv6_address_of_this_machine(finished_run):
    try:
        with serve_as("::1", finished_run.parent) as address:
            assert get(address, "/config").status_code == 200
    except OSError:
        pytest.skip("this machine has no IPv6")


ODD = [None, True, -1, 1e300, "x" * 5000, "a\x00\ud800b", [], ["x"] * 50, {"a": [1]}, [[[]]], "²"]


def test_every_function_of_the_page_survives_values_of_any_kind(finished_run, tmp_path):
    """Called past the page, each answers, in words or with a result, and the app lives on."""
    log = tmp_path / "stderr"
    with serve(finished_run.parent, log=log) as address:
        config = httpx.get(f"{address}/config", timeout=20).json()
        functions = [f for f in config["dependencies"] if f["backend_fn"]]
        assert len(functions) > 30
        with httpx.Client(base_url=f"{address}/gradio_api", timeout=120) as client:
            for place, function in enumerate(functions):
                for turn in range(3):
                    odd = [
                        ODD[(place + turn + i) % len(ODD)] for i in range(len(function["inputs"]))
                    ]
                    ask(client, function["id"], odd)
            done = client.post("/call/check", json={"data": ["1", "1"]}).json()["event_id"]
            assert '"reward": 1' in client.get(f"/call/check/{done}").text.replace('":1', '": 1')
    told = log.read_text(errors="replace")
    ours = re.findall(r'File "\S*/app/(?!messages|guard|leftovers)(\w+\.py)", line (\d+)', told)
    assert not ours, ours  # the page's own functions raise nothing that they do not tell


def ask(client, function, data):
    """Call a function of the page by number, as its script does; what came of it."""
    session = uuid.uuid4().hex
    body = {"fn_index": function, "data": data, "session_hash": session, "trigger_id": None,
            "event_data": {"row": data, "sort": 1}}  # fmt: skip
    text = json.dumps(body)  # surrogates as escapes
    headers = {"content-type": "application/json"}
    joined = client.post("/queue/join", content=text, headers=headers)
    if joined.status_code != 200:
        return
    # Gradio cannot write half a surrogate pair: it closes the connection of whoever sent one.
    with (
        contextlib.suppress(httpx.RemoteProtocolError),
        client.stream("GET", "/queue/data", params={"session_hash": session}) as stream,
    ):
        for line in stream.iter_lines():
            if "process_completed" in line or "close_stream" in line:
                assert "Traceback" not in line
                return


@pytest.mark.parametrize("display", ["", ":0"])
def test_the_browser_is_opened_where_a_display_is(finished_run, tmp_path, display):
    """And only there; the address is printed in any case."""
    seen = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n')
    browser.chmod(0o755)
    environment = {"DISPLAY": display, "WAYLAND_DISPLAY": ""}
    environment["BROWSER"] = str(browser) if display else ""
    port = "7977" if display else "7978"
    preload("app.page")
    app = Command("app", "--runs", finished_run.parent, "--port", port, env=environment)
    try:
        for _ in range(300):
            if "http" in app.out.read_text() and (seen.exists() or not display):
                break
            assert app.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        app.send_signal(signal.SIGTERM)
        app.wait(20)
    assert f"http://127.0.0.1:{port}" in app.out.read_text()
    assert seen.exists() == bool(display)


def test_hostile_names_of_runs_are_text_in_every_message(browser, finished_run, tmp_path):
    """A folder's name is no Markdown and no HTML, in notes, toasts and lists."""
    name = "<img src=http:\u2215\u2215evil.example\u2215x> ![x](y) **b**"
    (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / name / "config.toml").write_text('data = "x"')
    with serve(tmp_path / "runs") as address, visit(browser, address) as page:
        page.locator("#ask-note").get_by_text("cannot be read").wait_for()
        assert name in page.inner_text("#ask-note")
        assert page.locator("#ask-note img").count() == 0
        query = urllib.parse.urlencode({"tab": "compare", "a": "<img src=x>", "b": name})
        page.goto(f"{address}/?{query}")
        page.wait_for_selector("#ask", state="attached")
        page.wait_for_timeout(1500)
        assert page.locator("main img").count() == 0
