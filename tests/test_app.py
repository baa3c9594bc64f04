"""Try it, in a real browser: choose, ask, see both answers with verdicts and where they part."""

import contextlib
import urllib.parse

import pytest
from gradio_client import Client
from gradio_client.utils import Status

from app.answers import Answer, Answerer
from app.changes import coloured, find_parting, parting_html, token_texts
from app.problems import ProblemBook
from app.runs import _base, find_choices
from app.shown import show_colours, show_parting
from common.errors import UserError
from sampling.torch_sampler import TorchSampler

QUESTION = "Tom has 12 apples and finds 5 more. How many apples?"
BOTH_DONE = "document.querySelectorAll('#left-verdict .badge, #right-verdict .badge').length == 2"


def ask(page, question=QUESTION, gold="17"):
    page.fill("#question textarea", question)
    page.fill("#gold input, #gold textarea", gold)
    page.click("#ask")
    page.wait_for_function(BOTH_DONE)


def test_two_checkpoints_answer_side_by_side_with_verdicts(page):
    assert page.get_by_label("Left").input_value() == "small: base"
    assert page.get_by_label("Right").input_value() == "small: step 4"
    ask(page)
    for side in ("left", "right"):
        answer = page.inner_text(f"#{side}-answer")
        shown = page.inner_text(f"#{side}-verdict")
        assert answer.strip()
        assert ("✓" in shown) == answer.strip().endswith("#### 17")


def test_four_checkpoints_can_be_asked_at_once(page):
    page.get_by_role("button", name="More checkpoints").click()
    for label, option in (("Third", "small: step 2"), ("Fourth", "small: base")):
        page.get_by_label(label).click()
        page.locator("[role=option]:visible", has_text=option).last.click()
    ask(page)
    page.wait_for_selector("#fourth-verdict .badge")
    assert page.inner_text("#fourth-answer") == page.inner_text("#left-answer")
    assert page.inner_text("#third-answer").strip()


def test_tokens_are_coloured_by_what_training_did(page):
    ask(page)
    assert page.locator(".tokens").count() == 0
    page.check("#colours input")
    page.wait_for_selector("#left-tokens .tokens span")
    shown = page.inner_text("#left-tokens .tokens")
    assert "".join(shown.split()) == "".join(page.inner_text("#left-answer").split())
    title = page.get_attribute("#left-tokens .tokens span", "title")
    assert "before" in title
    assert "after training" in title


def test_samples_show_votes_and_the_pass_rate(page):
    page.fill("#question textarea", QUESTION)
    page.fill("#gold input, #gold textarea", "17")
    page.click("#many")
    page.wait_for_selector("#left-verdict .votes")
    assert "of 16 right" in page.inner_text("#left-verdict")


def test_problems_are_picked_by_set_and_level_and_leafed_through(page):
    """Dice, a level of an evaluation, and the arrow keys; each brings its reference answer."""
    value = "document.querySelector('#question textarea').value"
    page.click("#dice")
    page.wait_for_function(f"{value}.length > 20")
    assert page.input_value("#gold input, #gold textarea").isdigit()
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


def test_enter_asks(page):
    page.fill("#question textarea", QUESTION)
    page.focus("#question textarea")
    page.keyboard.press("Enter")
    page.wait_for_function(BOTH_DONE)
    assert page.input_value("#question textarea") == QUESTION  # no new line


def test_who_waits_sees_a_place_in_the_queue_and_may_leave_it(page, address):
    client = Client(address, verbose=False)
    labels = ["small: base", "small: step 2", "small: step 4", "small: base"]
    jobs = [client.submit(QUESTION, labels, "17", 64, i, api_name="/samples") for i in range(8)]
    while any(job.status().code in (Status.STARTING, Status.JOINING_QUEUE) for job in jobs):
        page.wait_for_timeout(20)  # four are at work, four wait: whoever asks now is the fifth
    page.fill("#question textarea", QUESTION)
    page.click("#ask")
    page.wait_for_function("/queue: \\d+\\/\\d+/.test(document.body.innerText)")
    page.keyboard.press("Escape")
    assert all(len(job.result()) == 4 for job in jobs)
    page.wait_for_timeout(3000)  # more than an answer takes
    assert page.locator(".badge").count() == 0
    page.click("#ask")  # the page still listens
    page.wait_for_function(BOTH_DONE)


def test_asking_nothing_says_so_in_words(page):
    page.click("#ask")
    page.get_by_text("type a problem first").wait_for(timeout=20_000)


def test_an_address_brings_a_view_back(browser, address, page):
    view = {"question": "What is 2+3?", "gold": "5", "right": "small: step 2", "seed": "7"}
    page.goto(f"{address}/?{urllib.parse.urlencode(view)}")
    page.wait_for_function(
        "document.querySelector('#question textarea')?.value == 'What is 2+3?' && "
        "document.querySelector('input[aria-label=Right]')?.value == 'small: step 2'"
    )
    page.click("#ask")
    page.wait_for_function(BOTH_DONE)
    page.wait_for_function("document.querySelector('#part')?.innerText.length > 5")
    assert "question=What+is" in page.url
    assert "seed=7" in page.url


def test_every_control_has_a_name(page):
    for name in ("Try it", "Compare", "Run", "Check"):
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
    choices = list(find_choices(finished_run.parent).values())
    *_, last = answerer.stream(QUESTION, [choices[0], choices[-1]], 0.0, 0)
    return answerer, last


def test_scores_are_the_log_probs_that_were_sampled_with(answers, finished_run, base):
    _, latest = answers
    sampler = TorchSampler(str(base))
    for answer in latest:
        again = sampler.score(answer.prompt, answer.completion.token_ids, answer.choice.adapter)
        assert again == pytest.approx(answer.completion.logprobs, abs=1e-4)


def test_where_two_answers_part_is_told_with_both_probabilities(answers):
    answerer, (one, other) = answers
    words, marks = show_parting(answerer, [one, other])
    ids = [one.completion.token_ids, other.completion.token_ids]
    if ids[0] == ids[1]:
        assert words == "Both wrote the same."
    parting = find_parting([[3, 1, 4], [3, 2, 4]], [answerer.tokenizer(one.choice)] * 2)
    assert parting.place == 1
    told = parting_html(parting, False, ["<a>", "b"], [[-0.1, -2.5], [-1.0, -0.5]])
    assert "token 2" in told
    assert "90.5%" in told
    assert "<a>" not in told
    assert parting_html(None, True, [], []) == "Both wrote the same."
    assert len(marks) == 2


def test_the_marked_characters_are_those_of_the_parting_token(answers):
    answerer, (one, _) = answers
    tokenizer = answerer.tokenizer(one.choice)
    sides = [tokenizer.encode(text) for text in ("3 + 4 = 7", "3 + 9 = 12")]
    parting = find_parting(sides, [tokenizer] * 2)
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in sides]
    marked = [text[a:b].strip() for text, (a, b) in zip(texts, parting.spans, strict=True)]
    assert marked == ["4", "9"]
    assert "".join(token_texts(sides[0], tokenizer)) == texts[0]


def test_colours_tell_raised_from_lowered(answers):
    shown = coloured(["<", "b"], [-2.0, -0.1], [-0.1, -2.0])
    assert "&lt;" in shown
    assert shown.index("22, 163, 74") < shown.index("220, 38, 38")
    answerer, latest = answers
    left, right = show_colours(answerer, latest)
    assert left.count("<span") == len(latest[0].completion.token_ids)
    assert right.count("<span") == len(latest[1].completion.token_ids)


def test_fixed_and_broken_problems_are_those_whose_rate_crossed_one_half(finished_run):
    book = ProblemBook(finished_run.parent, "synth:heldout,n=30")
    sources = book.sources()
    assert sources[:2] == ["synth:heldout,n=30", "small: synth-heldout"]
    whole = {book.pick("small: synth-heldout", "any", i, 1)[0].id for i in range(20)}
    assert len(whole) == 20
    found: dict[str, set[str]] = {}
    for fate in ("fixed", "broke"):
        source = f"small: synth-heldout, that training {fate}"
        assert source in sources
        found[fate] = set()
        with contextlib.suppress(UserError):  # there is none
            found[fate] = {book.pick(source, "any", i, 1)[0].id for i in range(20)}
    assert not found["fixed"] & found["broke"]
    assert found["fixed"] | found["broke"] < whole
    with pytest.raises(UserError, match="choose another set or level"):
        book.pick("", "99", 0, 0)


def test_a_base_that_was_moved_with_its_runs_is_found_beside_them(tmp_path):
    (tmp_path / "base-seed0").mkdir()
    assert _base("runs/base-seed0", tmp_path / "quickstart") == str(tmp_path / "base-seed0")
    assert _base(str(tmp_path / "base-seed0"), tmp_path / "x") == str(tmp_path / "base-seed0")
    assert _base("Qwen/Qwen2.5-0.5B", tmp_path / "x") == "Qwen/Qwen2.5-0.5B"
