"""Mistakes in words: what a user sees instead of a traceback."""

import contextlib
import sys
import traceback
from collections.abc import Iterator

import gradio as gr

from common.errors import UserError

UNEXPECTED = "something went wrong here; the terminal that runs the app says more"


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Inside, an error becomes a message on the page; an unexpected one is told in the terminal."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        raise gr.Error(UNEXPECTED, print_exception=False) from error
