"""The endpoints for programs: they do what the page says, and name values of a wrong type."""

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


def test_the_endpoints_do_what_the_page_says(client):
    labels = client.predict(api_name="/checkpoints")
    assert {"small: base", "small: step 4"} <= set(labels)
    asked = ("Tom has 12 apples and finds 5 more. How many apples?", labels[:1], "17")
    turns = list(client.submit(*asked, 0.0, 0, api_name="/answers"))
    [first], *_, [told] = turns
    assert told["text"].startswith(first["text"])
    assert len(first["text"]) < len(told["text"])
    assert told["reward"] == int(told["text"].strip().endswith("#### 17"))
    [found] = client.predict(*asked, 8, 0, api_name="/samples")
    assert len(found["samples"]) == 8
    assert found["pass_rate"] == sum(one["reward"] for one in found["samples"]) / 8
    assert client.predict(r"\boxed{0.5}", "1/2", api_name="/check")["reward"] == 1
    results = [r for r in client.predict(api_name="/results") if r.startswith("small")]
    lines = client.predict(*results[:2], api_name="/compare")
    assert any(line.startswith("pass@1") for line in lines)
    assert client.predict("", "2", api_name="/pick")["gold"]


def test_without_a_gold_nothing_is_called_wrong(client):
    [found] = client.predict("1+1?", ["small: base"], "", 4, 0, api_name="/samples")
    assert found["pass_rate"] is None
    assert {one["reward"] for one in found["samples"]} == {None}


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ((5, ["small: base"]), "/answers", "question must be text"),
        (("1+1?", ["small: base"], 5), "/answers", "gold must be text"),
        (("1+1?", {"a": 1}), "/answers", "checkpoints must be a list"),
        (("1+1?", [5]), "/answers", "checkpoints must be text"),
        (("1+1?", ["small: base"], "2", "hot"), "/answers", "temperature must be a number"),
        (("1+1?", ["small: base"], "2", None), "/answers", "temperature must be a number"),
        (("1+1?", ["small: base"], "2", 0.0, None), "/answers", "seed must be a number"),
        (("1+1?", ["small: base"], "2", 0.0, 1.5), "/answers", "seed must be a whole number"),
        (("1+1?", ["small: base"], "2", True), "/samples", "n must be a number"),
        (([1], "2"), "/check", "completion must be text"),
        (("1", ""), "/check", "gold must not be empty"),
        (([], {}), "/compare", "result must be text"),
        (([], 7), "/pick", "source must be text"),
    ],
)
def test_values_of_a_wrong_type_are_named_in_the_answer(client, values, name, words):
    with pytest.raises(AppError, match=words):
        client.predict(*values, api_name=name)
