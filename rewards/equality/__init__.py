"""Typed trees → whether they mean the same: structures first, then values."""
