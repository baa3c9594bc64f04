"""Mistakes as messages: what a user of the page or of an endpoint sees instead of a traceback."""

import contextlib
import html
import logging
import sys
import traceback
from collections.abc import Iterator

import gradio as gr
from fastapi import HTTPException

from common.errors import UserError

UNEXPECTED = "something went wrong here; the terminal that runs the app says more"
LONGEST = 500  # characters


def is_news(record: logging.LogRecord) -> bool:
    """A log filter: false for Gradio's traceback about a page that was closed or reloaded."""
    error = record.exc_info[1] if record.exc_info else None
    cause = error.__cause__ if error else None
    return not (isinstance(cause, HTTPException) and cause.status_code == 404)


@contextlib.contextmanager
def page_messages() -> Iterator[None]:
    """Inside, an error becomes a message on the page, where no name in it is read as HTML."""
    with _messages(as_html=True):
        yield


@contextlib.contextmanager
def api_messages() -> Iterator[None]:
    """Inside, an error becomes the answer of an endpoint, as plain text."""
    with _messages(as_html=False):
        yield


@contextlib.contextmanager
def _messages(*, as_html: bool) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        text = str(error)[:LONGEST]
        shown = html.escape(text) if as_html else text
        raise gr.Error(shown, print_exception=False) from error
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        raise gr.Error(UNEXPECTED, print_exception=False) from error
