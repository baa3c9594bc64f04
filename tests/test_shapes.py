"""While the tests run, every shape that an annotation of models, sampling and train says is true."""

import pytest
import torch

from train.advantages import group_advantages
from train.correction import sampler_weights


def test_an_array_of_another_rank_than_annotated_is_noticed():
    with pytest.raises(TypeError, match=r"(?s)'rewards'.*f32\[6\]"):
        group_advantages(torch.zeros(6))


def test_a_letter_stands_for_one_length_in_all_arguments():
    a, b, mask = torch.zeros(2, 3), torch.zeros(2, 4), torch.ones(2, 3)
    assert sampler_weights(a, a, mask, "token", 2.0).shape == (2, 3)
    with pytest.raises(TypeError, match=r"(?s)'sampler_logprobs'.*f32\[2,4\]"):
        sampler_weights(a, b, mask, "token", 2.0)


def test_the_kind_of_number_is_checked_too():
    with pytest.raises(TypeError, match=r"i64\[2,3\]"):
        group_advantages(torch.zeros(2, 3, dtype=torch.int64))
