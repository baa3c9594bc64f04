"""`python -m data`: write synthetic problems; show what a source holds; pairs out of a run."""

import argparse
from typing import Any

from common.errors import OneLineParser, UserError, run_command
from data.arguments import add_arguments, load_options
from data.load import is_made, open_rows
from data.pairs import pairs_of_run
from data.problem import write_problems
from data.prompts import NAMES, PromptTemplate
from data.shapes import recognise
from data.synth import SPLITS, synthesize


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m data", description="Problem sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    synth = commands.add_parser("synth", help="write seeded word problems with worked solutions")
    synth.add_argument("--n", type=int, required=True, help="how many problems")
    synth.add_argument("--seed", type=int, default=0)
    synth.add_argument("--split", choices=SPLITS, default="train")
    synth.add_argument("--levels", default="1,2,3,4", help="numbers of steps, such as 1,2")
    synth.add_argument("--out", required=True, help="the .jsonl file to write")
    show = commands.add_parser("show", help="what a source holds, and what is wrong with it")
    show.add_argument("source", help="a file, a folder, a hub set, or synth:…")
    add_arguments(show)
    show.add_argument("--model", help="whose tokens lengths are counted in; else characters")
    show.add_argument("--template", default="auto", choices=NAMES)
    pairs = commands.add_parser("pairs", help="a run's rollouts as pairs that dpo learns from")
    pairs.add_argument("run", help="the folder of a run")
    pairs.add_argument("--out", required=True, help="the .jsonl file to write")
    pairs.add_argument("--per-problem", type=int, default=4, help="pairs a problem at most")
    options = parser.parse_args(argv)
    done = {"synth": synth_command, "show": show_command, "pairs": pairs_command}
    done[options.command](options)


def synth_command(options: argparse.Namespace) -> None:
    if options.n < 1:
        raise UserError("--n must be at least 1")
    try:
        levels = tuple(int(level) for level in options.levels.split(","))
        problems = synthesize(options.n, seed=options.seed, split=options.split, levels=levels)
    except ValueError as error:
        raise UserError(str(error)) from error
    write_problems(options.out, problems)
    print(f"wrote {len(problems)} problems to {options.out}")


def pairs_command(options: argparse.Namespace) -> None:
    if not options.out.endswith(".jsonl"):
        raise UserError(f"--out {options.out}: give a name that ends in .jsonl")
    pairs = pairs_of_run(options.run, per_problem=options.per_problem)
    pairs.write(options.out)
    print(f"wrote {options.out}: {pairs.said()}")


def show_command(options: argparse.Namespace) -> None:
    how = load_options(options)
    # A command stands above the rooms it puts together: the contracts name this one import.
    from eval.inspection import show

    lines = [*_columns(options.source, how["fields"])]
    lines += show(options.source, how, _prompt(options))
    print("\n".join([options.source, *(f"  {line}" for line in lines)]))


def _columns(source: str, fields: dict[str, str] | None) -> list[str]:
    """What the columns of the first row were recognised as."""
    if is_made(source):
        return []
    where, record = next(iter(open_rows(source)), (source, None))
    if record is None:
        raise UserError(f"{source}: the data set is empty")
    try:
        found = recognise(record, fields)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    unread = [str(c) for c in record if str(c) not in " ".join(found.values())]
    out = [f"{role}: {column}" for role, column in found.items()]
    return [*out, f"not read: {', '.join(unread)}"] if unread else out


def _prompt(options: argparse.Namespace) -> Any:
    if not options.model:
        return None
    from models.loading import load_tokenizer

    return PromptTemplate(load_tokenizer(options.model), options.template)


if __name__ == "__main__":
    run_command(main)
