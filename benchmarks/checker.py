"""`python benchmarks/checker.py [GSM8K.jsonl MATH.jsonl] [--json FILE]`: our checker and Math-Verify.

Each pair of completion and gold is labelled by how it was made. (a) GSM8K: worked solutions that
end as models end them, against their own gold and against the next problem's. (b) MATH: worked
solutions against their own gold, and each gold in a box against other golds of the same form.
Math-Verify checks at most LIMIT pairs of each set; both run in one process, one thread. Without
files, synthetic problems stand in for GSM8K. `--json` writes the ratios of checks a second.
Math-Verify is installed into `.venv-peers` where it is missing.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

import argparse
import itertools
import json
import re
import time
from collections.abc import Callable

from benchmarks.peers import use_peers
from data import load_problems
from rewards import Checker
from rewards.parse.parsed_text import read

LIMIT = 4_000
ENDINGS = (
    "{steps}\n#### {gold}", "{steps}\nThe answer is {gold}.", "{steps} So the final answer is ${gold}$.",
    "{steps}\n\n\\boxed{{{gold}}}", "{steps}\n**Answer:** {gold} in all", "{steps}\nAnswer: \\${gold}.00",
    "<think>{steps} maybe 12?</think>\n$\\boxed{{{gold}}}$", "{steps}\nSo the answer is {gold} dollars.",
)  # fmt: skip
Pair = tuple[str, str, bool]  # completion, gold, whether it is right


def gsm8k(source: str) -> list[Pair]:
    """Solutions with the endings that models write, right and wrong in turn."""
    problems = [p for p in load_problems(source, limit=LIMIT) if p.solution]
    pairs: list[Pair] = []
    for problem, other in zip(problems, [*problems[1:], problems[0]], strict=True):
        ending = ENDINGS[len(pairs) // 2 % len(ENDINGS)]
        steps = (problem.solution or "").split("####")[0].split("\\boxed")[0].strip()
        text = ending.format(steps=steps, gold=problem.answer)
        pairs.append((text, problem.answer, True))
        if read(other.answer).words != read(problem.answer).words:
            pairs.append((text, other.answer, False))
    return pairs


def form(gold: str) -> str:
    """What a gold looks like, digits and letters aside."""
    return re.sub(r"[a-zA-Z]+", "a", re.sub(r"\d+", "0", re.sub(r"\s", "", gold)))


def math(source: str) -> list[Pair]:
    """Solutions with their golds, and golds with the next five of their form."""
    problems = [p for p in load_problems(source) if p.solution]
    pairs: list[Pair] = [(p.solution or "", p.answer, True) for p in problems]
    answers = sorted({p.answer for p in problems}, key=lambda gold: (form(gold), gold))
    for _, group in itertools.groupby(answers, key=form):
        golds = list(group)
        for i, gold in enumerate(golds):
            others = [o for o in golds[i + 1 : i + 6] if read(o).words != read(gold).words]
            pairs += [(f"\\boxed{{{other}}}", gold, False) for other in others]
    return pairs


def measure(name: str, check: Callable[[str, str], bool], pairs: list[Pair]) -> float:
    """Print what a checker makes of the pairs; checks a second."""
    false_accepts = false_rejects = 0
    examples: list[str] = []
    begun = time.perf_counter()
    for completion, gold, right in pairs:
        said = check(completion, gold)
        false_accepts += said and not right
        false_rejects += right and not said
        if said != right and len(examples) < 5:
            examples.append(f"{completion[-60:]!r} against {gold!r}: {said}")
    seconds = time.perf_counter() - begun
    rights = sum(right for _, _, right in pairs)
    print(
        f"  {name:<12} accuracy {1 - (false_accepts + false_rejects) / len(pairs):.4f}, "
        f"false accepts {false_accepts} of {len(pairs) - rights}, "
        f"false rejects {false_rejects} of {rights} ({false_rejects / rights:.2%}), "
        f"{len(pairs) / seconds:,.0f} checks a second"
    )
    for example in examples:
        print("     ", example)
    return len(pairs) / seconds


def math_verify() -> Callable[[str, str], bool]:
    """Math-Verify's documented use."""
    from math_verify import parse, verify

    return lambda completion, gold: bool(verify(parse(f"${gold}$"), parse(completion)))


def main(sources: list[str]) -> dict[str, float]:
    """Print what both make of each set; how many times Math-Verify's checks a second are ours."""
    name = "GSM8K" if sources else "synthetic"
    sets = {name: gsm8k(sources[0] if sources else "synth:train,n=2000")}
    if len(sources) > 1:
        sets["MATH"] = math(sources[1])
    ratios, peer = {}, math_verify()
    with Checker() as checker:
        checker.check(r"\boxed{\sqrt{8}}", r"2\sqrt{2}")  # start the worker
        for name, pairs in sets.items():
            print(f"{name}: {len(pairs)} pairs", flush=True)
            ours = measure("mathgrpo", lambda c, g: bool(checker.check(c, g).reward), pairs)
            theirs = measure("Math-Verify", peer, pairs[:LIMIT])
            print(f"  mathgrpo is {ours / theirs:.1f} times as fast", flush=True)
            ratios[f"checker/{name}"] = ours / theirs
    return ratios


if __name__ == "__main__":
    use_peers("math-verify")
    parser = argparse.ArgumentParser(description="Our checker beside Math-Verify.")
    parser.add_argument("sources", nargs="*", metavar="FILE", help="GSM8K, then MATH")
    parser.add_argument("--json", help="a file for the ratios")
    options = parser.parse_args()
    found = main(options.sources)
    if options.json:
        Path(options.json).write_text(json.dumps(found))
