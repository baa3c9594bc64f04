"""Sources in exact shares, each in epochs of its own, all a function of seed and position."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from data import Mixture, Problem, Source
from data.mixture import source_names


def problems(count, name="p"):
    return [Problem(f"{name}{i}", f"{name}{i}?", "1") for i in range(count)]


@given(st.lists(st.sampled_from([1, 2, 3, 5, 7, 0.1, 0.25, 0.37, 12]), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_source_is_ever_off_its_share_by_one(weights):
    mixture = Mixture([problems(3)] * len(weights), weights, seed=0)
    counts = [0] * len(weights)
    for draw in range(1, 400):
        counts[mixture.share(draw - 1)] += 1
        for count, weight in zip(counts, weights, strict=True):
            assert abs(count - draw * weight / sum(weights)) < 1


def test_three_to_one_is_three_of_every_four_draws():
    mixture = Mixture([problems(40, "a"), problems(7, "b")], [3, 1], seed=5)
    for begin in range(0, 160, 4):
        assert [mixture.share(p) for p in range(begin, begin + 4)].count(0) == 3


def test_each_source_is_gone_through_whole_before_it_begins_again():
    mixture = Mixture([problems(6, "a"), problems(4, "b")], [0.5, 0.5], seed=1)
    drawn = mixture.indices(0, 48)
    for source, size in ((0, 6), (1, 4)):
        mine = [i for i in drawn if mixture.source_of(i) == source]
        epochs = [mine[i : i + size] for i in range(0, len(mine), size)]
        assert all(len(set(epoch)) == size for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) > 1


def test_draws_follow_from_seed_and_position_alone():
    sets, weights = [problems(50, "a"), problems(20, "b")], [2, 1]
    whole = Mixture(sets, weights, seed=3).indices(0, 300)
    assert Mixture(sets, weights, seed=3).indices(170, 60) == whole[170:230]
    assert Mixture(sets, weights, seed=4).indices(0, 300) != whole


def test_one_source_is_gone_through_in_epochs():
    taken = Mixture([problems(30)], [1.0], seed=9).indices(0, 60)
    assert sorted(taken[:30]) == sorted(taken[30:]) == list(range(30))
    assert taken[:30] != taken[30:]


def test_ids_and_names_are_unlike_across_sources():
    mixture = Mixture([problems(3), problems(3)], [1, 1], seed=0)
    assert len({p.id for p in mixture.problems}) == 6
    assert source_names([Source("a/t.jsonl"), Source("b/t.jsonl"), Source("gsm8k")]) == [
        "t",
        "t-2",
        "gsm8k",
    ]


@pytest.mark.parametrize("weights", [[1, 0], [1, -1], [1, float("nan")], [1, float("inf")], [1]])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(UserError, match="weight"):
        Mixture([problems(2), problems(2)], weights, seed=0)
