"""The blind test: sides by seed, no name before the pick, an exact interval, a file of picks."""

import json

import pytest
from scipy import stats

from app.blind import Blind, score_html
from app.runs import Choice
from common.errors import UserError
from data import Problem
from tests.conftest import tab

FIRST, SECOND = (Choice(f"small: {x}", "m", None) for x in ("base", "step 4"))


def test_the_sides_are_drawn_by_the_seed_and_even():
    tests = [Blind(FIRST, SECOND, seed, "", round=n) for seed in range(20) for n in range(20)]
    swapped = [t.sides()[0] == SECOND for t in tests]
    assert swapped == [t.sides()[0] == SECOND for t in tests]
    assert stats.binomtest(sum(swapped), len(swapped), 0.5).pvalue > 0.001
    one, other = ([Blind(FIRST, SECOND, s, "", round=n).sides() for n in range(20)] for s in (1, 2))
    assert one != other


def test_a_pick_counts_for_whoever_wrote_that_side():
    problem = Problem(id="1", question="1+1?", answer="2")
    for n in range(10):
        test = Blind(FIRST, SECOND, 0, "", round=n, problem=problem)
        left = test.sides()[0]
        assert test.pick("left").wins == ((1, 0, 0) if left == FIRST else (0, 1, 0))
        assert test.pick("equal").wins == (0, 0, 1)
        with pytest.raises(UserError, match="nothing to pick"):
            test.pick("left").pick("left")


@pytest.mark.parametrize("wins", [(3, 7, 2), (0, 5, 0), (1, 0, 9)])
def test_the_interval_is_that_of_clopper_and_pearson(wins):
    found = stats.binomtest(wins[1], wins[0] + wins[1]).proportion_ci(0.95, method="exact")
    shown = score_html(Blind(FIRST, SECOND, 0, "", wins=wins))
    low, high = (f"{x:.0%}" if x in (0, 1) else f"{x:.1%}" for x in (found.low, found.high))
    assert f"95% interval {low} to {high}" in shown


def test_no_name_is_in_the_page_or_sent_to_it_before_the_pick(page, finished_run):
    kept = finished_run / "blind_test.jsonl"
    kept.unlink(missing_ok=True)
    received: list[str] = []

    def read(route):
        answer = route.fetch()
        received.append(answer.text())
        route.fulfill(response=answer)

    page.route("**/queue/data*", read)  # every answer of the server, read before the page has it
    page.reload()  # else an answer may come by a stream that was open before
    tab(page, "Blind test")
    page.wait_for_function(
        "document.querySelector('#blind-second input')?.value?.includes('step 4')"
    )
    page.wait_for_timeout(2000)  # until what the page asks for by itself has come
    received.clear()  # the lists of models, which hold every name
    page.click("#blind-start")
    for turn in range(2):
        page.wait_for_selector("#pick-left:not([disabled])")
        round_html = page.inner_html("#blind-round")
        for name in ("small: base", "small: step 4", "step_000004"):
            assert name not in round_html
        assert page.locator("#blind-first").count() == 0 or not page.is_visible("#blind-first")
        texts = [page.inner_text(f"#blind-{n}") for n in (1, 2)]
        assert texts[0] != texts[1]
        assert any("blind" in one or "Answer" in one or "Pick" in one for one in received)
        assert not any("small: " in one or "step_0000" in one for one in received)
        page.click("#pick-left")
        page.wait_for_function("document.querySelector('#blind-told').innerText.includes('small:')")
        assert page.is_disabled("#pick-left")
        received.clear()
        if not turn:
            page.click("#blind-next")
            page.wait_for_selector("#pick-left[disabled]")
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [line["pick"] for line in lines] == ["left", "left"]
    for line in lines:
        test = Blind(FIRST, SECOND, line["seed"], "", round=line["round"])
        assert (line["left"], line["right"]) == tuple(c.label for c in test.sides())
        assert line["winner"] == line["left"]
    kept.unlink()
