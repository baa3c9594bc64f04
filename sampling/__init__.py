"""Prompts in, N completions each out, with token ids and the log-probs they were sampled with."""

from sampling.completion import Completion
from sampling.load import BACKENDS, load_sampler, pick_backend
from sampling.params import SamplingParams
from sampling.sampler import Sampler

__all__ = ["BACKENDS", "Completion", "Sampler", "SamplingParams", "load_sampler", "pick_backend"]
