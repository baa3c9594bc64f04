"""Mistakes in words: what a user sees instead of a traceback."""

import contextlib
from collections.abc import Iterator

import gradio as gr

from common.errors import UserError


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Inside, a UserError becomes a message on the page."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error
