"""Text → typed tree: normalised once, cut into tokens, parsed within bounds."""
