"""What programs leave behind in the app: nothing, so that open pages keep what they hold."""

import contextlib
import time

import httpx
import pytest
from starlette.middleware import Middleware

from app.answers import Answerer
from app.leftovers import Leftovers
from app.page import build_page
from app.runs import Library


@pytest.fixture
def served(finished_run):
    page = build_page(Library(finished_run.parent), "synth:heldout,n=30", Answerer())
    middleware = [Middleware(Leftovers, page=page)]
    _, url, _ = page.launch(
        server_name="127.0.0.1",
        quiet=True,
        prevent_thread_lock=True,
        state_session_capacity=128,
        app_kwargs={"middleware": middleware},
    )
    with contextlib.closing(page), httpx.Client(base_url=f"{url}gradio_api", timeout=60) as client:
        yield page, client


def begin(client, name, data, **more):
    reply = client.post(f"/call/{name}", json={"data": data, **more})
    return f"/call/{name}/{reply.raise_for_status().json()['event_id']}"


def kept(page):
    queue = page._queue
    places = (page.state_holder.session_data, page.state_holder.time_last_used)
    return [*places, queue.pending_messages_per_session, queue.pending_event_ids_session]


def test_a_call_leaves_nothing_behind_also_of_who_leaves_and_a_page_keeps_its_own(served):
    page, client = served
    mine = begin(client, "check", [r"\boxed{0.5}", "1/2"], session_hash="a-page")
    assert "complete" in client.get(mine).text
    for _ in range(3):
        told = client.get(begin(client, "check", [r"\boxed{0.5}", "1/2"])).text
        assert "complete" in told
        assert '"reward": 1' in told
    asked = ["Tom has 3 apples and finds 4. How many?", ["small: base"], "7", 0.0, 0]
    with client.stream("GET", begin(client, "answers", asked)) as stream:
        next(stream.iter_lines())  # and is gone
    until = time.monotonic() + 20
    while any(set(one) - {"a-page"} for one in kept(page)) and time.monotonic() < until:
        time.sleep(0.1)
    assert [set(one) - {"a-page"} for one in kept(page)] == [set()] * 4
    assert "a-page" in page.state_holder.session_data
    assert '"reward": 1' in client.get(begin(client, "check", [r"\boxed{0.5}", "1/2"])).text
