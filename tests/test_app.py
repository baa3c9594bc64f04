"""Ask, in a real browser: choose, ask, see both answers with verdicts and where they differ."""

import contextlib
import re
import urllib.parse
from pathlib import Path

import gradio as gr
import pytest

from app.answer_view import first_difference, token_colours
from app.answers import Answer, Answerer
from app.blind import PICKS
from app.charts import Series, line_chart, percent
from app.page import build_page
from app.problems import ProblemBook
from app.runs import Library, _base
from app.token_changes import (
    coloured,
    find_first_difference,
    first_difference_html,
    token_texts,
)
from common.errors import UserError
from sampling.torch_sampler import TorchSampler

QUESTION = "Tom has 12 apples and finds 5 more. How many apples?"
BOTH_DONE = "document.querySelectorAll('#a-head .badge, #b-head .badge').length == 2"


def ask(page, question=QUESTION, gold="17"):
    page.fill("#question textarea", question)
    page.fill("#gold input, #gold textarea", gold)
    page.click("#ask")
    page.wait_for_function(BOTH_DONE)


def test_two_checkpoints_answer_side_by_side_with_verdicts(page):
    assert page.get_by_label("Model A").input_value() == "small: base"
    assert page.get_by_label("Model B").input_value() == "small: step 4"
    ask(page)
    for side in ("a", "b"):
        answer = page.inner_text(f"#{side}-answer")
        shown = page.inner_text(f"#{side}-head")
        assert answer.strip()
        assert ("✓" in shown) == answer.strip().endswith("#### 17")


def test_four_checkpoints_can_be_asked_at_once(page):
    page.click("#settings-button")
    for label, option in (
        ("Model C (optional)", "small: step 2"),
        ("Model D (optional)", "small: base"),
    ):
        page.get_by_label(label).click()
        page.locator("[role=option]:visible", has_text=option).last.click()
    ask(page)
    page.wait_for_selector("#d-head .badge")
    assert page.inner_text("#d-answer") == page.inner_text("#a-answer")
    assert page.inner_text("#c-answer").strip()


def test_tokens_are_coloured_by_what_training_did(page):
    ask(page)
    assert page.locator(".tokens").count() == 0
    page.click("#settings-button")
    page.check("#colours input")
    page.wait_for_selector("#a-tokens .tokens span")
    shown = page.inner_text("#a-tokens .tokens")
    assert "".join(shown.split()) == "".join(page.inner_text("#a-answer").split())
    title = page.get_attribute("#a-tokens .tokens span", "title")
    assert "before" in title
    assert "after training" in title


def test_samples_show_votes_and_the_pass_rate(page):
    page.fill("#question textarea", QUESTION)
    page.fill("#gold input, #gold textarea", "17")
    page.click("#many")
    page.wait_for_selector("#b-tokens .bars")
    assert "of 16 samples right" in page.inner_text("#a-head")
    assert "95% interval" in page.inner_text("#a-head")


def test_problems_are_picked_by_set_and_level_and_leafed_through(page):
    """Dice, a level of an evaluation, and the arrow keys; each brings its reference answer."""
    value = "document.querySelector('#question textarea').value"
    page.click("#dice")
    page.wait_for_function(f"{value}.length > 20")
    assert page.input_value("#gold input, #gold textarea").isdigit()
    page.click("#settings-button")
    page.click("#source input")
    page.get_by_role("option", name="small: synth-heldout", exact=True).click()
    page.click("#level input")
    page.get_by_role("option", name="1", exact=True).click()
    seen = []
    for _ in range(3):
        before = page.evaluate(value)
        page.locator("h1").first.click()  # out of the fields: there, arrows move the cursor
        page.keyboard.press("ArrowRight")
        page.wait_for_function(f"{value} != {before!r}")
        seen.append(page.evaluate(value))
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"{value} == {seen[1]!r}")


def test_a_model_of_stories_says_so_and_brings_a_problem_it_knows(page):
    page.locator("#ask-note").get_by_text("knows only short stories").wait_for()
    page.click("#ask-note [data-press]")
    page.wait_for_function("document.querySelector('#question textarea').value.length > 20")
    assert page.input_value("#gold input, #gold textarea").isdigit()


def test_enter_asks(page):
    page.fill("#question textarea", QUESTION)
    page.focus("#question textarea")
    page.keyboard.press("Enter")
    page.wait_for_function(BOTH_DONE)
    assert page.input_value("#question textarea") == QUESTION  # no new line


def test_asking_nothing_says_so_in_words(page):
    page.click("#ask")
    page.get_by_text("type a problem first").wait_for(timeout=20_000)


def test_an_address_brings_a_view_back(browser, address, page):
    view = {"question": "What is 2+3?", "gold": "5", "b": "small: step 2", "seed": "7"}
    page.goto(f"{address}/?{urllib.parse.urlencode(view)}")
    page.wait_for_function(
        "document.querySelector('#question textarea')?.value == 'What is 2+3?' && "
        "document.querySelector('input[aria-label=\"Model B\"]')?.value == 'small: step 2'"
    )
    page.click("#ask")
    page.wait_for_function(BOTH_DONE)
    page.wait_for_function("document.querySelector('#difference')?.innerText.length > 5")
    assert "question=What+is" in page.url
    assert "seed=7" in page.url


def test_every_control_has_a_name(page):
    for name in ("Ask", "Compare", "Evolution", "Blind test", "Training", "Check"):
        page.get_by_role("tab", name=name, exact=True).click()
        page.wait_for_timeout(300)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('input, textarea, select, button')]
            .filter((e) => e.offsetParent && !(e.labels?.length || e.ariaLabel || e.title
              || e.getAttribute('aria-labelledby') || e.innerText.trim() || e.placeholder))
            .map((e) => e.outerHTML.slice(0, 200))"""
        )
        assert nameless == [], name


@pytest.fixture(scope="module")
def answers(finished_run) -> tuple[Answerer, list[Answer]]:
    """The base's and the last checkpoint's greedy answers to one problem."""
    answerer = Answerer()
    choices = list(Library(finished_run.parent).choices().values())
    *_, last = answerer.stream(QUESTION, [choices[0], choices[-1]], 0.0, 0)
    return answerer, last


def test_scores_are_the_log_probs_that_were_sampled_with(answers, finished_run, base):
    _, latest = answers
    sampler = TorchSampler(str(base))
    for answer in latest:
        again = sampler.score(answer.prompt, answer.completion.token_ids, answer.choice.adapter)
        assert again == pytest.approx(answer.completion.logprobs, abs=1e-4)


def test_the_first_difference_of_two_answers_is_told_with_both_probabilities(answers):
    answerer, (one, other) = answers
    words, marks = first_difference(answerer, [one, other])
    ids = [one.completion.token_ids, other.completion.token_ids]
    if ids[0] == ids[1]:
        assert words == "Both answers are the same."
    found = find_first_difference([[3, 1, 4], [3, 2, 4]], [answerer.tokenizer(one.choice)] * 2)
    assert found.place == 1
    told = first_difference_html(found, False, ["<a>", "b"], [[-0.1, -2.5], [-1.0, -0.5]])
    assert "token 2" in told
    assert "90.5%" in told
    assert "<a>" not in told
    assert first_difference_html(None, True, [], []) == "Both answers are the same."
    assert len(marks) == 2


def test_the_marked_characters_are_those_of_the_first_difference(answers):
    answerer, (one, _) = answers
    tokenizer = answerer.tokenizer(one.choice)
    sides = [tokenizer.encode(text) for text in ("3 + 4 = 7", "3 + 9 = 12")]
    found = find_first_difference(sides, [tokenizer] * 2)
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in sides]
    marked = [text[a:b].strip() for text, (a, b) in zip(texts, found.spans, strict=True)]
    assert marked == ["4", "9"]
    assert "".join(token_texts(sides[0], tokenizer)) == texts[0]


def test_colours_tell_raised_from_lowered(answers):
    shown = coloured(["<", "b"], [-2.0, -0.1], [-0.1, -2.0])
    assert "&lt;" in shown
    assert shown.index("22, 163, 74") < shown.index("220, 38, 38")
    answerer, latest = answers
    left, right = token_colours(answerer, latest)
    assert left.count("<span") == len(latest[0].completion.token_ids)
    assert right.count("<span") == len(latest[1].completion.token_ids)


def test_fixed_and_broken_problems_are_those_whose_rate_crossed_one_half(finished_run):
    book = ProblemBook(Library(finished_run.parent), "synth:heldout,n=30")
    sources = book.sources()
    assert sources[:2] == ["synth:heldout,n=30", "small: synth-heldout"]
    whole = {book.pick("small: synth-heldout", "any", i, 1)[0].id for i in range(20)}
    assert len(whole) == 20
    found: dict[str, set[str]] = {}
    for fate in ("fixed", "broken"):
        source = f"small: synth-heldout, {fate} by training"
        assert source in sources
        found[fate] = set()
        with contextlib.suppress(UserError):  # there is none
            found[fate] = {book.pick(source, "any", i, 1)[0].id for i in range(20)}
    assert not found["fixed"] & found["broken"]
    assert found["fixed"] | found["broken"] < whole
    with pytest.raises(UserError, match="choose another set or level"):
        book.pick("", "99", 0, 0)


def test_a_base_that_was_moved_with_its_runs_is_found_beside_them(tmp_path):
    (tmp_path / "base-seed0").mkdir()
    assert not Path("runs").exists(), "tests must not see the runs of the checkout"
    assert _base("runs/base-seed0", tmp_path / "quickstart") == str(tmp_path / "base-seed0")
    assert _base(str(tmp_path / "base-seed0"), tmp_path / "x") == str(tmp_path / "base-seed0")
    assert _base("Qwen/Qwen2.5-0.5B", tmp_path / "x") == "Qwen/Qwen2.5-0.5B"


@pytest.mark.parametrize(
    ("values", "lowest", "highest"),
    [
        ([0, 0, 0], 0, 50),
        ([1, 1, 1], 90, 100),
        ([0, 1, 0.5], 0, 100),
        ([0.4, 0.6, 0.5], 40, 60),
        ([-0.2, 0, -0.1], -20, 0),
        ([-0.5, 1.5, 0], -50, 150),
        ([float("nan"), 0.0, 0.0], 0, 50),
    ],
)
def test_an_axis_of_shares_names_none_that_cannot_be(values, lowest, highest):
    chart = line_chart(
        "cut off", [Series("a run", [1, 2, 3], values)], x_title="", y_format=percent
    )
    named = [float(x) for x in re.findall(r">(-?[\d.]+)%</text>", chart)]
    assert (min(named), max(named)) == (lowest, highest)


def test_every_button_that_may_take_a_while_shows_that_it_works(tmp_path):
    """The others write at once what they are doing, or end in no time."""
    page = build_page(Library(tmp_path), "synth:heldout,n=30", Answerer())
    silent = set()
    for call in page.fns.values():
        for place, event in call.targets:
            button = page.blocks.get(place)
            if not isinstance(button, gr.Button) or event != "click" or call.fn is None:
                continue
            if call.show_progress == "hidden" and not call.types_generator:
                silent.add(button.value)
    assert silent == {*PICKS.values(), "End the test"}
