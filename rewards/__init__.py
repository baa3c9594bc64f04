"""Completion + gold → verdict: pure Python and sympy, bounded in time, never torch."""

from rewards.checker import Checker, check, equal, is_echo
from rewards.verdict import Verdict

__all__ = ["Checker", "Verdict", "check", "equal", "is_echo"]
