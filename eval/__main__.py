"""`python -m eval`: pass@k of models; `eval compare A B`; `eval overlap TRAIN EVAL`."""

import sys
import time
from pathlib import Path

from common.errors import OneLineParser, UserError, run_command
from common.files import make_folder, whole_file
from data import load_problems
from data.load import set_name

BACKENDS = ("auto", "torch", "vllm", "vllm-server")
BASE = "base"  # among the adapters: the model without any


def main(argv: list[str]) -> None:
    commands = {"compare": compare_command, "overlap": overlap_command}
    if argv[:1] and argv[0] in commands:
        commands[argv[0]](argv[1:])
    else:
        eval_command(argv)


def eval_command(argv: list[str]) -> None:
    parser = OneLineParser(
        prog="python -m eval",
        description="Measure pass@k of a model, or of several adapters on it, on one set or more. "
        "A killed evaluation goes on where it was when started again.",
    )
    parser.add_argument("--model", required=True, help="base model: folder or hub name")
    parser.add_argument("--adapter", nargs="*", default=[], help=f"LoRA folders; '{BASE}' for none")
    parser.add_argument("--data", required=True, nargs="+", help="problem files, hub sets, synth:…")
    parser.add_argument("--limit", type=int, help="only so many problems")
    parser.add_argument("--n", type=int, default=16, help="samples a problem")
    parser.add_argument("--k", default="1", help="such as 1,4,16")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 is greedy")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--template", default="auto", choices=("auto", "chat", "plain"))
    parser.add_argument("--shots", type=int, default=0, help="worked examples before a question")
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    parser.add_argument("--export", action="store_true", help="also in lm-evaluation-harness' form")
    parser.add_argument("--out", required=True, help="folder for results.json, samples.parquet, …")
    options = parser.parse_args(argv)
    try:
        ks = sorted({int(k) for k in options.k.split(",")})
    except ValueError:
        raise UserError(f"--k takes numbers such as 1,4,16, not '{options.k}'") from None
    for k in ks:
        if k < 1:
            raise UserError(f"k must be at least 1, not {k}")
        if k > options.n:
            raise UserError(f"pass@{k} needs at least {k} samples a problem, but n is {options.n}")
    sets = {source: load_problems(source, limit=options.limit) for source in options.data}
    make_folder(Path(options.out).parent)

    from eval.harness import Protocol  # heavy imports only once what was asked is known good
    from eval.many import Asked, evaluate_all
    from eval.result import print_results

    protocol = Protocol(
        n=options.n,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )
    asked = Asked(
        model=options.model,
        adapters=[None if a == BASE else a for a in options.adapter] or [None],
        sets=sets,
        protocol=protocol,
        ks=ks,
        template=options.template,
        shots=options.shots,
        backend=options.backend,
        export=options.export,
    )
    for found in evaluate_all(asked, Path(options.out)):
        print_results(found)


def compare_command(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m eval compare", description="Compare two results.")
    parser.add_argument("a", help="a result folder")
    parser.add_argument("b", help="another, on the same problems")
    parser.add_argument("--report", help="an HTML file with both")
    parser.add_argument("--plot", help="a PNG or SVG file with the curves of both")
    options = parser.parse_args(argv)

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

    import json

    from eval.overlap import THRESHOLD, find_overlaps

    threshold = THRESHOLD if options.threshold is None else options.threshold
    if not 0 < threshold <= 1:
        raise UserError(f"--threshold lies between 0 and 1, not {threshold}")
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
        with whole_file(options.out) as temporary:
            lines = [
                {"problem": o.problem.id, "closest": o.closest.id, "share": o.share} for o in found
            ]
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    run_command(main)
