"""Processes that check what may take long, and reward functions that may not end."""
