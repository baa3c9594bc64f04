"""The rows of samples.parquet by problem: n rows each, told apart by their place, not their id."""

from collections.abc import Iterator

import numpy
import pandas


def problem_numbers(samples: pandas.DataFrame) -> numpy.ndarray:
    """The number of each row's problem, from 0: a problem begins where `sample` is 0."""
    return (samples["sample"].to_numpy() == 0).cumsum() - 1


def by_problem(samples: pandas.DataFrame) -> Iterator[pandas.DataFrame]:
    """The rows of each problem, in their order."""
    return (group for _, group in samples.groupby(problem_numbers(samples), sort=False))


def right_counts(samples: pandas.DataFrame, column: str = "reward") -> numpy.ndarray:
    """How many samples of each problem are right, in the order of the problems.

    `column` is `reward`, or `strict` for those whose answer was marked.
    """
    return samples.groupby(problem_numbers(samples), sort=False)[column].sum().to_numpy()
