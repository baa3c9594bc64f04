"""`python benchmarks/fuzz_checker.py [MINUTES [SEED]]`: random and mangled answers to the checker.

Reports each exception on the way to a verdict and each check over twice the time limit, and
prints how many inputs were tried.
"""

import random
import sys
import time

from rewards import Checker

PIECES = (
    r"\frac \sqrt \boxed{ } { ( ) [ ] , ; = < > \le \ge \ne + - * / ^ _ ! | % . .. 0 1 2 7 10 12.5 "
    r"1,000 x y n e i \pi \infty \cup \cap \in \setminus \pm \mp \text{ and or \text{or} cm apples "
    r"\binom \begin{pmatrix} \end{pmatrix} & \\ \left( \right) \{ \} \lfloor \rfloor \sin \cos \log "
    r"\ln \overline \ldots ^\circ ° ½ ² √ 答案 answer is #### </think> $ $$ \( \) \[ \] \mathbb{R} "
    r"\emptyset \gcd \max 999999999 e9 : ' \bar \dots 0. .5 U \mid \operatorname \cdot \times \div"
    r" \sum_{i=1}^{4} \prod_{k=0}^{9} \det \begin{vmatrix} \end{vmatrix} north south \boxed{5} ≈"
).split(" ")
SEEDS = (
    r"\frac{\sqrt{3}}{2}", r"(-\infty,1)\cup(2,\infty)", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
    "x^2+2x+1", r"\{1,2,3\}", r"3\pm\sqrt{2}", r"1<x\le5", "y=2x+3", "11111_2", r"25\%", "1,250",
    r"0.1\overline{6}", r"\sin 30^\circ", r"\binom{10}{3}", "(1,2)", "3:4", "5 \\text{ cm}", "1e6",
)  # fmt: skip


def answer(draw: random.Random) -> str:
    """A random sequence of pieces, or a seed with some of them put in, cut out or doubled."""
    if draw.random() < 0.4:
        return "".join(draw.choices(PIECES, k=draw.randint(1, 25)))
    text = draw.choice(SEEDS)
    for _ in range(draw.randint(1, 4)):
        at, end = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
        text = draw.choice(
            [
                text[:at] + draw.choice(PIECES) + text[at:],
                text[:at] + text[end:],
                text[:end] + text[at:end] + text[end:],
                text[:at] + chr(draw.randint(0, 0x2FFF)) + text[at:],
            ]
        )
    return text


def main(minutes: float, seed: int) -> int:
    """Fuzz for so long; the number of findings."""
    draw, begun, said, tried, rewarded, findings = random.Random(seed), time.time(), 0.0, 0, 0, 0
    slowest = 0.0
    with Checker() as checker:
        checker.check(r"\boxed{\sqrt{8}}", r"2\sqrt{2}")
        while time.time() - begun < 60 * minutes:
            text = answer(draw)
            gold = draw.choice(SEEDS) if draw.random() < 0.7 else answer(draw)
            completion = rf"\boxed{{{text}}}" if draw.random() < 0.7 else text
            verdict = checker.check(completion, gold)
            tried += 1
            rewarded += verdict.reward
            slowest = max(slowest, verdict.seconds)
            failed = verdict.reason.split("(")[-1].endswith(("Error)", "Exception)"))
            if verdict.seconds > 2 * checker.timeout or failed:
                findings += 1
                print(f"{completion!r} against {gold!r}: {verdict}", flush=True)
            if time.time() - said > 30:
                said = time.time()
                print(
                    f"{tried:,} inputs, {rewarded:,} rewarded, slowest {slowest:.2f} s", flush=True
                )
    print(f"{tried:,} inputs in {minutes} minutes, {findings} findings, slowest {slowest:.2f} s")
    return findings


if __name__ == "__main__":
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    sys.exit(min(1, main(minutes, int(sys.argv[2]) if len(sys.argv) > 2 else 0)))
