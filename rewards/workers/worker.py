"""`python -m rewards.workers.worker`: checks in a process of its own, JSON lines in and out.

A message is one undecided question, `[answer, gold, form, read_as]`, or a share of pairs,
`{"pairs": […], "rules": …}`, whose verdicts come back in lists as they are made.
"""

import dataclasses
import json
import os
import sys
import threading
import time

import mpmath  # noqa: F401 - before the first question, so that no limit pays for it

from rewards.equality import symbolic
from rewards.equality.answers import Undecided, compare, compare_precisely
from rewards.extract import extract
from rewards.verdict import Verdict, verdict
from rewards.workers.pool import Pair, Rules

MEMORY_LIMIT = 2 << 30  # bytes of address space
PATIENCE = 0.2  # seconds between lists of verdicts


def main() -> None:
    """Serve until the input ends or the parent is gone."""
    _limit_memory()
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    symbolic.announce = _say
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogatepass")  # type: ignore[union-attr]
    _say("ready")
    for line in sys.stdin:
        message = json.loads(line)
        if isinstance(message, dict):
            _share(message["pairs"], Rules(*message["rules"]))
        else:
            _say(_decided(Undecided(*message)))


def _share(pairs: list[Pair], rules: Rules) -> None:
    done: list[Verdict] = []
    said = time.perf_counter()
    for completion, gold, *truncated in pairs:
        begun = time.perf_counter()
        found = extract(completion, strict=rules.strict, truncated=bool(truncated and truncated[0]))
        decision = compare(found, gold, rules.form)
        if isinstance(decision, Undecided):
            if done:  # these are safe, whatever the next one does
                _say([dataclasses.astuple(v) for v in done])
                done = []
            decision = _decided(decision)
        done.append(verdict(found, decision, begun))
        if begun - said > PATIENCE:
            _say([dataclasses.astuple(v) for v in done])
            done, said = [], begun
    if done:
        _say([dataclasses.astuple(v) for v in done])


def _decided(question: Undecided) -> tuple[int, str, str | None]:
    try:
        return compare_precisely(question)
    except (Exception, RecursionError, MemoryError) as error:  # whatever sympy raises
        return 0, f"cannot be compared ({type(error).__name__})", question.read_as


def _say(reply: object) -> None:
    print(json.dumps(reply), flush=True)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    except (ImportError, OSError, ValueError):
        pass  # no such limit on this system; the time limit still holds


if __name__ == "__main__":
    main()
