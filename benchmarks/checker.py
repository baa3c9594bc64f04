"""`python benchmarks/checker.py [GSM8K.jsonl MATH.jsonl]`: our checker beside Math-Verify, in one run.

Each pair of completion and gold is labelled by how it was made. (a) GSM8K: worked solutions that
end as models end them, against their own gold and against the next problem's. (b) MATH: worked
solutions against their own gold, and each gold in a box against other golds of the same form.
Math-Verify checks at most LIMIT pairs of each set; both run in one process, one thread. Without
files, synthetic problems stand in for GSM8K. Math-Verify: `pip install 'mathgrpo[peers]'`.
"""

import itertools
import re
import sys
import time
from collections.abc import Callable

from data import load_problems
from rewards import Checker
from rewards.plain import words_of

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
        if words_of(other.answer) != words_of(problem.answer):
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
            others = [o for o in golds[i + 1 : i + 6] if words_of(o) != words_of(gold)]
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


def math_verify() -> Callable[[str, str], bool] | None:
    """Math-Verify's documented use, or None where it is not installed."""
    try:
        from math_verify import parse, verify
    except ImportError:
        print("Math-Verify is not installed: pip install 'mathgrpo[peers]'")
        return None
    return lambda completion, gold: bool(verify(parse(f"${gold}$"), parse(completion)))


def main(sources: list[str]) -> None:
    sets = {"a: GSM8K": gsm8k(sources[0] if sources else "synth:train,n=2000")}
    if len(sources) > 1:
        sets["b: MATH"] = math(sources[1])
    peer = math_verify()
    with Checker() as checker:
        checker.check(r"\boxed{\sqrt{8}}", r"2\sqrt{2}")  # start the worker
        for name, pairs in sets.items():
            print(f"{name}: {len(pairs)} pairs")
            ours = measure("mathgrpo", lambda c, g: bool(checker.check(c, g).reward), pairs)
            if peer:
                theirs = measure("Math-Verify", peer, pairs[:LIMIT])
                print(f"  mathgrpo is {ours / theirs:.1f} times as fast")


if __name__ == "__main__":
    main(sys.argv[1:])
