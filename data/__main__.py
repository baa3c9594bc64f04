"""`python -m data synth`: write synthetic problems to a file."""

from common.errors import OneLineParser, UserError, run_command
from data.problem import write_problems
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
    options = parser.parse_args(argv)
    if options.n < 1:
        raise UserError("--n must be at least 1")
    try:
        levels = tuple(int(level) for level in options.levels.split(","))
        problems = synthesize(options.n, seed=options.seed, split=options.split, levels=levels)
    except ValueError as error:
        raise UserError(str(error)) from error
    write_problems(options.out, problems)
    print(f"wrote {len(problems)} problems to {options.out}")


if __name__ == "__main__":
    run_command(main)
