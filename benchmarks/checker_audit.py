"""`python benchmarks/checker_audit.py FILE …`: what the checker makes of each gold of a set.

For each set it counts golds that cannot be read, that do not equal themselves, and whose own
solution earns nothing; neighbours of a gold that are accepted (gold ± 1, negated, items permuted,
matrices transposed, another coefficient); and, under both forms, how often a formula copied from
the question into a box is paid.
"""

import collections
import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

from data import Problem, load_problems
from rewards import Checker
from rewards.equality.answers import gold_of
from rewards.extract.expressions import formulas
from rewards.parse import tree as t
from rewards.parse.parsed_text import read

EXAMPLES = 6
_INTEGER = re.compile(r"(?<![\w.^_{])\d+(?![\w.}])")


def neighbours(gold: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of answers close to a gold that are not equal to it."""
    trees = read(gold_of(gold), is_gold=True).trees
    tree = trees[0] if trees else None
    value = isinstance(
        tree, t.Number | t.Name | t.Sum | t.Product | t.Negative | t.Quotient | t.Power | t.Call
    )
    if value and tree != t.Number(t.ONE.value * 0):
        yield "plus one", f"({gold}) + 1"
        yield "minus one", f"({gold}) - 1"
        yield "negated", f"-({gold})"
        yield "doubled", f"2({gold})"
    if found := list(_INTEGER.finditer(gold)):
        last = found[-1]
        yield "another number", f"{gold[: last.start()]}{int(last.group()) + 1}{gold[last.end() :]}"
    if isinstance(tree, t.Tuple) and tree.brackets == "()" and len(set(tree.items)) > 1:
        inner = gold[gold.index("(") + 1 : gold.rindex(")")]
        parts = inner.split(",")
        if len(parts) == len(tree.items) and parts != parts[::-1]:
            yield "reversed", f"({','.join(parts[::-1])})"
    if isinstance(tree, t.Matrix):
        rows = re.search(r"(\\begin\{\w+\})(.*)(\\end\{\w+\})", gold, re.S)
        if rows:
            cells = [row.split("&") for row in rows[2].split("\\\\")]
            turned = [list(column) for column in zip(*cells, strict=False)]
            if turned != cells:
                body = " \\\\ ".join(" & ".join(row) for row in turned)
                if [[c.strip() for c in row] for row in turned] != [
                    [c.strip() for c in r] for r in cells
                ]:
                    yield "transposed", rows[1] + body + rows[3]
            if len(cells) > 1 and cells != cells[::-1]:
                body = " \\\\ ".join(" & ".join(row) for row in cells[::-1])
                yield "rows reversed", rows[1] + body + rows[3]
            yield "one row", rows[1] + " & ".join(cells[-1]) + rows[3]


def echoes(problem: Problem) -> Iterator[str]:
    """The formulas of a question and the sides of its equations, but for numbers and names.

    A formula that is written as the gold is written is no echo: it is the answer.
    """
    gold = read(problem.answer).words
    for found in formulas(problem.question):
        for text in (found.text, *(found.text.split("=") if "=" in found.text else ())):
            parsed = read(text)
            plain = parsed.number or re.fullmatch(r"\d+th|[a-z]", parsed.words)
            if text.strip() and not plain and parsed.words != gold:
                yield text


def audit(problems: list[Problem], checkers: dict[str, Checker]) -> dict[str, list[str]]:
    """The findings of each kind, as texts to show."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    value = checkers["value"]
    for problem in problems:
        gold = problem.answer
        parsed = read(gold_of(gold), is_gold=True)
        if not parsed.trees and not parsed.number and not re.fullmatch(r"[a-z]{2,}", parsed.words):
            found["unreadable"].append(gold)
        for form, checker in checkers.items():
            if not checker.check(rf"\boxed{{{gold}}}", gold).reward:
                found[f"not equal to itself ({form})"].append(gold)
        if problem.solution and not value.check(problem.solution, gold).reward:
            found["own solution refused"].append(f"{problem.id}: {gold}")
        for kind, text in neighbours(gold):
            if value.check(rf"\boxed{{{text}}}", gold).reward:
                found[f"neighbour accepted ({kind})"].append(f"{text}  for  {gold}")
        for form, checker in checkers.items():
            paid = [e for e in echoes(problem) if checker.check(rf"\boxed{{{e}}}", gold).reward]
            if paid:
                found[f"echo paid ({form})"].append(f"{paid[0]}  for  {gold}")
    return found


def main(sources: list[str]) -> None:
    with Checker() as value, Checker(form="final") as final:
        for source in sources:
            problems = load_problems(source)
            found = audit(problems, {"value": value, "final": final})
            tried = sum(1 for p in problems for _ in neighbours(p.answer))
            print(f"{source}: {len(problems)} golds, {tried} neighbours")
            for kind in sorted(found):
                cases = found[kind]
                print(f"  {kind}: {len(cases)} ({len(cases) / len(problems):.2%} of the golds)")
                for case in cases[:EXAMPLES]:
                    print("     ", case[:160])


if __name__ == "__main__":
    main(sys.argv[1:] or ["synth:train,n=2000"])
