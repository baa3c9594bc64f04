"""`python -m rewards`: check one completion, or a file of them."""

import dataclasses
import json
import math
import os
from collections.abc import Iterator

from common.errors import OneLineParser, UserError, run_command
from common.files import whole_file
from common.progress import progress_bar
from rewards.checker import FORMS, TIMEOUT, Checker


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m rewards", description="Check answers against golds.")
    parser.add_argument("--gold", help="the reference answer")
    parser.add_argument("--completion", help="what the model wrote")
    parser.add_argument("--in", dest="source", help="JSON lines with `gold` and `completion`")
    parser.add_argument("--out", help="verdicts, one JSON line for each input line")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--strict", action="store_true", help="no last number: marked answers only")
    parser.add_argument("--form", choices=FORMS, default="value", help="final: worked out, too")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds a check")
    options = parser.parse_args(argv)
    if options.workers < 1 or not 0 < options.timeout < math.inf:
        raise UserError("--workers must be at least 1, and --timeout a positive number")
    with Checker(options.workers, options.timeout, options.strict, options.form) as checker:
        if options.source and options.out:
            check_file(checker, options.source, options.out)
        elif options.gold is not None and options.completion is not None:
            verdict = checker.check(options.completion, options.gold)
            print(json.dumps(dataclasses.asdict(verdict), ensure_ascii=False))
        else:
            raise UserError("give --gold and --completion, or --in and --out")


def check_file(checker: Checker, source: str, out: str) -> None:
    """Write a verdict for each line of `source`, in order, whole or not at all."""
    try:
        lines = open(source, encoding="utf-8-sig", errors="surrogateescape", newline="\n")  # noqa: SIM115
        size = os.path.getsize(source)
    except OSError as error:
        raise UserError(f"{source}: cannot be read: {error.strerror}") from error
    right = done = 0
    with (
        lines,
        whole_file(out) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace") as verdicts,
        progress_bar() as progress,
    ):
        task = progress.add_task("checking", total=size, note="")

        def pairs() -> Iterator[tuple[str, str]]:
            for number, line in enumerate(lines, start=1):
                progress.advance(task, len(line))  # as many bytes or, in other scripts, fewer
                yield _pair(line, f"{source}, line {number}")

        for verdict in checker.check_each(pairs()):
            verdicts.write(verdict.to_json() + "\n")
            right += verdict.reward
            done += 1
        progress.update(task, completed=size)
    print(f"{right} of {done} right; verdicts in {out}")


def _pair(line: str, where: str) -> tuple[str, str]:
    try:
        record = json.loads(line)
        completion, gold = record["completion"], record["gold"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{where}: expected a JSON object with gold and completion") from None
    if not isinstance(completion, str) or not isinstance(gold, str | int | float):
        raise UserError(f"{where}: completion must be text, gold text or a number")
    return completion, str(gold)


if __name__ == "__main__":
    run_command(main)
