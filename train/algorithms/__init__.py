"""The algorithms: each a file with its settings, its advantages and its loss."""
