"""The options by which commands say how a set is to be read: `--fields`, `--leave-out`."""

import argparse
from typing import Any

from common.errors import UserError
from common.pairs import text_pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take `--limit`, `--fields` and `--leave-out`."""
    parser.add_argument("--limit", type=int, help="only so many problems")
    parser.add_argument(
        "--fields",
        nargs="+",
        default=[],
        metavar="FIELD=COLUMN",
        help="which column is what, such as question=prompt answer=reward_model.ground_truth",
    )
    parser.add_argument(
        "--leave-out",
        nargs="+",
        default=[],
        metavar="COLUMN=VALUE",
        help="leave out rows with such a value, as answer=proof answer=notfound",
    )


def load_options(options: argparse.Namespace) -> dict[str, Any]:
    """What these options say, as the keywords of `load_problems`; raises UserError."""
    pairs = text_pairs(options.fields, "--fields")
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise UserError("--fields names a field twice")
    leave_out: dict[str, list[str]] = {}
    for column, value in text_pairs(options.leave_out, "--leave-out"):
        leave_out.setdefault(column, []).append(value)
    return {"limit": options.limit, "fields": fields or None, "leave_out": leave_out or None}
