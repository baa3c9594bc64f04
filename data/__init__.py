"""Problems in: files, hub sets and the synthetic generator become `Problem`s and prompts."""

from data.load import load_problems
from data.problem import Problem, write_problems
from data.prompts import PromptTemplate
from data.synth import synthesize

__all__ = ["Problem", "PromptTemplate", "load_problems", "synthesize", "write_problems"]
