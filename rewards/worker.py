"""`python -m rewards.worker`: compares pairs of answers with sympy, a JSON line in, a line out."""

import json
import sys

MEMORY_LIMIT = 2 << 30  # bytes of address space


def main() -> None:
    """Serve until the input ends."""
    _limit_memory()
    import sympy  # noqa: F401 - loaded before the first question, so that no limit pays for it

    from rewards.algebra import equal_by_sympy
    from rewards.latex import parse

    print("ready", flush=True)
    for line in sys.stdin:
        answer, gold = json.loads(line)
        try:
            reply = [int(equal_by_sympy(parse(answer), parse(gold))), "sympy"]
        except (Exception, RecursionError, MemoryError) as error:  # whatever sympy raises
            reply = [0, f"cannot be compared ({type(error).__name__})"]
        print(json.dumps(reply), flush=True)


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    except (ImportError, OSError, ValueError):
        pass  # no such limit on this system; the time limit still holds


if __name__ == "__main__":
    main()
