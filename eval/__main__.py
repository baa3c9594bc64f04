"""`python -m eval`: measure pass@k of a model; `python -m eval compare A B`: set two apart."""

import sys
from pathlib import Path

from common.errors import OneLineParser, UserError, run_command
from common.files import make_folder
from data import PromptTemplate, load_problems
from eval.compare import compare
from eval.harness import Protocol, check_protocol, sample_problems
from eval.result import load_result, print_results, save_result, summarize
from rewards import Checker
from sampling import BACKENDS, load_sampler


def main(argv: list[str]) -> None:
    if argv[:1] == ["compare"]:
        compare_command(argv[1:])
    else:
        eval_command(argv)


def eval_command(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m eval", description="Measure pass@k of a model.")
    parser.add_argument("--model", required=True, help="base model: folder or hub name")
    parser.add_argument("--adapter", help="LoRA adapter folder")
    parser.add_argument("--data", required=True, help="problem file, hub set or synth:…")
    parser.add_argument("--limit", type=int, help="only so many problems")
    parser.add_argument("--n", type=int, default=16, help="samples a problem")
    parser.add_argument("--k", default="1", help="such as 1,4,16")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 is greedy")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--template", default="auto", choices=("auto", "chat", "plain"))
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    parser.add_argument("--out", required=True, help="folder for results.json, samples.parquet")
    options = parser.parse_args(argv)
    try:
        ks = sorted({int(k) for k in options.k.split(",")})
    except ValueError:
        raise UserError(f"--k takes numbers such as 1,4,16, not '{options.k}'") from None
    protocol = Protocol(
        n=options.n,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )
    check_protocol(protocol, ks)
    problems = load_problems(options.data, limit=options.limit)
    make_folder(Path(options.out).parent)
    with load_sampler(options.backend, options.model, adapter=options.adapter) as sampler:
        template = PromptTemplate(sampler.tokenizer, options.template)
        samples = sample_problems(sampler, problems, template, Checker(), protocol)
    results = summarize(
        samples,
        ks,
        model=options.model,
        adapter=options.adapter,
        data=options.data,
        seed=options.seed,
        temperature=options.temperature,
    )
    save_result(options.out, results, samples)
    print_results({options.adapter or options.model: results})


def compare_command(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m eval compare", description="Compare two results.")
    parser.add_argument("a", help="a result folder")
    parser.add_argument("b", help="another, on the same problems")
    options = parser.parse_args(argv)
    a, b = load_result(options.a), load_result(options.b)
    comparison = compare(a, b)
    print_results({"A": a[0], "B": b[0]})
    print("paired difference B − A, 95% interval:")
    for line in comparison.lines():
        print("  " + line)
    sys.stdout.flush()


if __name__ == "__main__":
    run_command(main)
