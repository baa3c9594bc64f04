"""Problems in: files, hub sets and the synthetic generator become `Problem`s and prompts."""

from data.load import Source, load_problems
from data.mixture import Mixture
from data.problem import Problem, fingerprint, write_problems
from data.prompts import PromptTemplate
from data.synth import synthesize

__all__ = [
    "Mixture",
    "Problem",
    "PromptTemplate",
    "Source",
    "fingerprint",
    "load_problems",
    "synthesize",
    "write_problems",
]
