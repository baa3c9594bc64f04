"""Any base and adapter can be shown; a model that is slow to come holds up only who asked for it."""

import os
import shutil
import socket
import time
import urllib.parse

import numpy
import pandas
import pytest
from gradio_client import Client
from gradio_client.utils import Status

from app.answers import AT_WORK, Answerer
from app.bases import Bases
from app.evolution import outcomes
from app.rollouts import RolloutIndex
from app.runs import Library
from app.training import points, smooth
from common.errors import UserError
from tests.conftest import serve, visit

FAR = "somebody/far-away"
QUESTION = "Tom has 12 apples and finds 5 more. How many apples?"


def test_models_and_adapters_of_the_command_line_come_first(browser, base, finished_run, tmp_path):
    adapter = finished_run / "checkpoints" / "step_000004"
    words = ["--model", str(base), "--adapter", str(adapter)]
    with serve(tmp_path, *words) as address, visit(browser, address) as page:
        page.wait_for_function(
            "document.querySelector('input[aria-label=\"Model B\"]')?.value?.includes('step_')"
        )
        assert page.get_by_label("Model A").input_value() == str(base)
        page.fill("#question textarea", QUESTION)
        page.click("#ask")
        page.wait_for_function("document.querySelectorAll('.card-head .badge').length == 2")
        assert page.inner_text("#b-answer").strip()


def test_an_adapter_goes_onto_the_base_it_names_itself(base, finished_run, tmp_path):
    adapter = tmp_path / "adapter"
    shutil.copytree(finished_run / "checkpoints" / "step_000004", adapter)
    library = Library(tmp_path, adapters=[str(adapter)])
    [choice] = library.choose([str(adapter)])
    assert choice.model == str(base)
    *_, last = Answerer().stream(QUESTION, [choice], 0.0, 0)
    assert last[0].completion.text


@pytest.fixture(scope="module")
def slow(base, finished_run):
    """The app with a model more that never comes: the hub takes the call and never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        hub = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kept = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
        words = ["--model", FAR, str(base)]
        with serve(finished_run.parent, *words, env={**kept, "HF_ENDPOINT": hub}) as address:
            yield address


def test_a_model_that_never_comes_holds_up_only_who_asked_for_it(slow, base):
    client = Client(slow, verbose=False)
    client.predict(QUESTION, [str(base)], api_name="/answers")  # in memory now
    waits = client.submit(QUESTION, [FAR], api_name="/answers")
    begun = time.monotonic()
    for label in (str(base), "small: step 4", str(base)):
        [told] = client.predict(QUESTION, [label], api_name="/answers")
        assert told["text"]
    assert time.monotonic() - begun < 15
    assert not waits.done()
    waits.cancel()


def test_who_waits_sees_a_place_in_the_queue_and_may_leave_it(browser, slow):
    client = Client(slow, verbose=False)
    jobs = [client.submit(QUESTION, [FAR], api_name="/answers") for _ in range(AT_WORK)]
    query = urllib.parse.urlencode({"a": FAR, "b": "small: step 4"})
    with visit(browser, slow, f"/?{query}") as page:
        page.wait_for_function(
            "document.querySelector('input[aria-label=\"Model B\"]')?.value == 'small: step 4'"
        )
        while any(job.status().code != Status.ITERATING for job in jobs):
            page.wait_for_timeout(50)
        page.fill("#question textarea", QUESTION)
        page.click("#ask")
        page.wait_for_function("/queue: \\d+\\/\\d+/.test(document.body.innerText)")
        page.keyboard.press("Escape")
        for job in jobs:
            job.cancel()
        page.wait_for_timeout(2000)  # more than an answer takes
        assert page.locator(".badge").count() == 0
        page.click("#ask")  # the page still listens, and says what it waits for
        for seconds in ("0 s", "1 s"):
            page.wait_for_function(
                "(words) => document.querySelector('#a-head')?.innerText.includes(words)",
                arg=f"loading {FAR}, {seconds}",
            )
        page.click("#stop")


def test_a_model_larger_than_the_memory_is_refused_before_it_is_loaded(tmp_path):
    with open(tmp_path / "model.safetensors", "wb") as file:
        file.truncate(1 << 42)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"does not fit into this machine's memory: 4096\.0 GiB"):
        Bases().wait(str(tmp_path))


def test_learnt_and_lost_are_told_by_where_the_pass_rate_came_to_stay():
    rates = {"learnt": [0, 0.2, 0.7, 1], "lost": [1, 0.4, 0.1, 0], "late": [0, 1, 0, 1]}
    rates |= {"right": [1, 0.5, 1, 1], "wrong": [0, 0.4, 0, 0], "back": [1, 0, 0, 1]}
    found = outcomes(pandas.DataFrame(rates).T)
    assert found["outcome"].to_dict() == {
        "learnt": "learnt", "lost": "lost", "late": "learnt", "right": "right", "wrong": "wrong",
        "back": "changing",
    }  # fmt: skip
    assert found["settled"].to_dict() == {
        "learnt": 2, "lost": 1, "late": 3, "right": 0, "wrong": 0, "back": 3
    }  # fmt: skip


def test_smoothing_keeps_a_constant_and_forgets_exponentially():
    assert smooth([2.0] * 5, 0.9) == pytest.approx([2.0] * 5)
    values = numpy.random.default_rng(0).random(20).tolist()
    assert smooth(values, 0.0) == pytest.approx(values)
    wanted = pandas.Series(values).ewm(alpha=0.3, adjust=True).mean().tolist()
    assert smooth(values, 0.7) == pytest.approx(wanted)


def test_hours_are_those_of_sampling_checking_and_training():
    lines = [{"step": n, "kl": 0.1, "time/sample_s": 1200.0, "time/train_s": 600.0} for n in (1, 2)]
    assert points(lines, "kl", "hours") == ([0.5, 1.0], [0.1, 0.1])
    assert points(lines, "kl", "step") == ([1.0, 2.0], [0.1, 0.1])


def test_a_search_finds_what_a_search_by_hand_finds_and_sees_new_steps(finished_run, tmp_path):
    run = tmp_path / "run"
    (run / "rollouts").mkdir(parents=True)
    files = sorted((finished_run / "rollouts").glob("*.parquet"))
    shutil.copy(files[0], run / "rollouts")
    index = RolloutIndex(run)
    first = pandas.read_parquet(files[0])
    hits = index.search("####", "right", 0, 1000, 20)
    wanted = first["completion"].str.contains("####") & (first["reward"] > 0)
    assert hits.total == int(wanted.sum())
    assert sorted(hits.rows["row"]) == numpy.flatnonzero(wanted).tolist()
    shutil.copy(files[1], run / "rollouts")
    again = index.search("", "all", 0, 10, 20)
    assert again.searched == len(first) + len(pandas.read_parquet(files[1]))
    assert len(again.rows) == 10
