"""Mistakes in words: what a user sees instead of a traceback."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

import gradio as gr
from fastapi import HTTPException

from common.errors import UserError

UNEXPECTED = "something went wrong here; the terminal that runs the app says more"


def is_news(record: logging.LogRecord) -> bool:
    """A log filter: false for Gradio's traceback about a page that was closed or reloaded."""
    error = record.exc_info[1] if record.exc_info else None
    cause = error.__cause__ if error else None
    return not (isinstance(cause, HTTPException) and cause.status_code == 404)


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
