"""Prompts in, N completions each out, with token ids and the log-probs they were sampled with."""

from sampling.completion import Completion
from sampling.sampler import BACKENDS, Sampler, load_sampler, pick_backend

__all__ = ["BACKENDS", "Completion", "Sampler", "load_sampler", "pick_backend"]
