"""pass@k is the unbiased estimator; intervals cover; results are reproducible."""

import itertools
import json
import math
from fractions import Fraction

import numpy
import pytest

from common.errors import UserError
from eval.compare import compare
from eval.intervals import difference_interval, mean_interval
from eval.passk import all_right_at_k, pass_at_k
from eval.result import load_result
from tests.fork_server import command


def test_pass_at_k_equals_enumeration_over_all_subsets():
    for n in range(1, 13):
        for c in range(n + 1):
            samples = [1] * c + [0] * (n - c)
            for k in range(1, n + 1):
                subsets = list(itertools.combinations(samples, k))
                exact = sum(map(any, subsets)) / len(subsets)
                assert pass_at_k(n, c, k) == pytest.approx(exact, abs=1e-12)
                whole = sum(map(all, subsets)) / len(subsets)
                assert all_right_at_k(n, c, k) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(("c", "k"), [(1, 1), (3, 5000), (137, 64), (5000, 10), (9999, 2)])
def test_pass_at_k_stays_accurate_for_many_samples(c, k):
    n = 10_000
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert pass_at_k(n, c, k) == pytest.approx(float(exact), abs=1e-12)


def test_pass_at_k_takes_arrays_of_counts():
    assert pass_at_k(4, numpy.array([0, 1, 4]), 2) == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("n", "c", "k"), [(4, 2, 5), (4, -1, 1), (4, 5, 1), (4, 2, 0), (4, 2.5, 1)]
)
def test_pass_at_k_refuses_what_makes_no_sense(n, c, k):
    with pytest.raises(ValueError):
        pass_at_k(n, c, k)


@pytest.mark.parametrize("problems", [50, 500])
@pytest.mark.parametrize("n", [4, 16])
def test_intervals_cover_the_truth(problems, n):
    draw = numpy.random.default_rng(problems + n)
    truth = {1: 0.5, 4: 1 - math.prod((0.5 + i) / (1 + i) for i in range(4))}  # of Beta(½, ½)
    rounds, covered = 1500, {1: 0, 4: 0, "paired": 0}
    for _ in range(rounds):
        rates = draw.beta(0.5, 0.5, size=problems)
        right = draw.binomial(n, rates)
        for k, mean in truth.items():
            estimate = mean_interval(pass_at_k(n, right, k))
            covered[k] += estimate.ci_low <= mean <= estimate.ci_high
        better = draw.binomial(n, rates + (1 - rates) * 0.2)
        difference = difference_interval(right / n, better / n)
        covered["paired"] += difference.ci_low <= 0.1 <= difference.ci_high
    for kind, count in covered.items():
        assert 0.925 <= count / rounds <= 0.975, kind  # 93 to 97%, give or take the simulation's


def test_one_sample_each_gives_the_exact_interval():
    estimate = mean_interval([1.0] * 8 + [0.0] * 2, exact=True)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((0.44390, 0.97479), abs=1e-5)


def test_the_command_measures_and_repeats_itself_exactly(finished_run, base, tmp_path):
    checkpoint = finished_run / "checkpoints" / "step_000004"
    for name in ("a", "b"):
        done = command(
            *("eval", "--model", base, "--adapter", checkpoint, "--max-tokens", "24"),
            *("--data", "synth:heldout,n=12,levels=1", "--n", "4", "--k", "1,4"),
            *("--out", tmp_path / name),
        )
        assert done.returncode == 0, done.stderr
    first = (tmp_path / "a" / "results.json").read_text()
    assert first == (tmp_path / "b" / "results.json").read_text()
    results = json.loads(first)
    assert {"model", "adapter", "data", "n_problems", "n_samples", "pass_at_k", "maj_at_k"} < set(
        results
    )
    assert set(results["pass_at_k"]["4"]) == {"mean", "ci_low", "ci_high"}
    _, samples = load_result(tmp_path / "a")
    assert len(samples) == 12 * 4
    rate = samples.groupby("problem")["reward"].mean().mean()
    assert results["pass_at_k"]["1"]["mean"] == pytest.approx(rate)


def test_results_on_different_problems_are_not_compared(finished_run, base, tmp_path):
    evaluations = finished_run / "eval" / "synth-heldout"
    same = load_result(evaluations / "base")
    assert compare(same, same).difference[1].mean == 0.0
    results, samples = load_result(evaluations / "step_000004")
    with pytest.raises(UserError, match="different problems"):
        compare(same, (results, samples.iloc[2:]))
