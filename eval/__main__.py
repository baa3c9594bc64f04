"""`python -m eval`: pass@k of models; `eval compare A B`; `eval overlap TRAIN EVAL`."""

import json
import sys
import time
from pathlib import Path

from common import ranks
from common.errors import OneLineParser, UserError, run_command
from common.files import make_folder, write_text
from data import load_problems
from data.load import set_name

PICTURES = (".png", ".svg", ".pdf")


def main(argv: list[str]) -> None:
    commands = {"compare": compare_command, "overlap": overlap_command}
    if argv[:1] and argv[0] in commands:
        commands[argv[0]](argv[1:])
    else:
        eval_command(argv)


def eval_command(argv: list[str]) -> None:
    from eval.options import parser, request_of

    options = parser().parse_args(argv)
    request = request_of(options)
    if ranks.is_first():
        make_folder(Path(options.out).parent)

    from eval.result import print_results
    from eval.sweep import evaluate_all  # heavy imports, once what was asked is known good

    with ranks.joined():
        for found in evaluate_all(request, Path(options.out)):
            if ranks.is_first():
                print_results(found)


def compare_command(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m eval compare", description="Compare two results.")
    parser.add_argument("a", help="a result folder")
    parser.add_argument("b", help="another, on the same problems")
    parser.add_argument("--report", help="an HTML file with both")
    parser.add_argument("--plot", help="a PNG or SVG file with the curves of both")
    options = parser.parse_args(argv)
    if options.plot and Path(options.plot).suffix.lower() not in PICTURES:
        raise UserError(f"--plot takes a file name that ends in {', '.join(PICTURES)}")

    from eval.compare import compare
    from eval.result import load_result, print_results

    a, b = load_result(options.a), load_result(options.b)
    comparison = compare(a, b)
    print_results({"A": a[0], "B": b[0]})
    print("paired difference B − A, 95% interval:")
    for line in comparison.lines():
        print("  " + line)
    for name, problems in (("fixed", comparison.fixed), ("broken", comparison.broken)):
        if problems:
            more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
            print(f"  {name}: {', '.join(problems[:10])}{more}")
    if options.report or options.plot:
        from eval.report import save_plot, save_report

        if options.report:
            save_report(options.report, [a, b], ["A", "B"])
        if options.plot:
            save_plot(options.plot, [a, b], ["A", "B"])
    sys.stdout.flush()


def overlap_command(argv: list[str]) -> None:
    parser = OneLineParser(
        prog="python -m eval overlap", description="Find evaluation problems in a training file."
    )
    parser.add_argument("train", help="training problems")
    parser.add_argument("eval", help="evaluation problems")
    parser.add_argument("--threshold", type=float, help="share of common n-grams, 0 to 1")
    parser.add_argument("--show", type=int, default=5, help="how many to print")
    parser.add_argument("--out", help="a JSONL file with all that are found")
    options = parser.parse_args(argv)

    from eval.overlap import THRESHOLD, find_overlaps

    threshold = THRESHOLD if options.threshold is None else options.threshold
    if not 0 < threshold <= 1:
        raise UserError(f"--threshold lies between 0 and 1, not {threshold}")
    if options.show < 0:
        raise UserError(f"--show must not be negative, not {options.show}")
    begun = time.perf_counter()
    training, evaluation = load_problems(options.train), load_problems(options.eval)
    found = find_overlaps(training, evaluation, threshold)
    print(
        f"{len(found)} of {len(evaluation)} problems of {set_name(options.eval)} are nearly in "
        f"{set_name(options.train)} ({time.perf_counter() - begun:.1f} s)"
    )
    for overlap in found[: options.show]:
        print(f"  {overlap.share:.0%}  {overlap.problem.id}: {overlap.problem.question[:150]}")
        print(f"        {overlap.closest.id}: {overlap.closest.question[:150]}")
    if options.out:
        lines = [
            {"problem": o.problem.id, "closest": o.closest.id, "share": o.share} for o in found
        ]
        write_text(options.out, "".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    run_command(main)
