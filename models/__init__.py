"""Base models: loaded, packed for one pass over many sequences, adapted, made from nothing."""
