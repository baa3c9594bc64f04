"""Hostile answers: each gets its verdict in time, nothing raises, runs or grows."""

import asyncio
import concurrent.futures
import resource
import time
from pathlib import Path

import pytest

from rewards import Checker, check

TOWERS = [
    "9^{9^{9^{9^{9}}}}", "9^9^9^9^9^9", "2^{2^{2^{2^{2^{2^{x}}}}}}", "10^{10^{10^{10}}}",
    "(10^{1000})^{(10^{1000})}", "e^{e^{e^{e^{e^{e}}}}}", "1.0000001^{99999999999}",
    "(-1)^{10^{1000000}}", "2^{-99999999999999}", "x^{x^{x^{x^{x^{x^x}}}}}", "9^{99999999999}!",
    "(((9^9)^9)^9)^9)^9", "1e99999", "1e999999999", "1E+99999 + 1E-99999", "10^{-10^{10}}",
    "0^{-1}", "0^{0^{0^{0}}}", "i^{i^{i^{i^{10^{9}}}}}", "(1+i)^{10^{12}}", "2**2**2**2**2**2**2",
    r"\sqrt[10^{9}]{2}", r"\sqrt[0]{2}", r"\sqrt[-1]{0}", r"\log_{1} 5", r"\log_0 0", r"\ln 0",
]  # fmt: skip
FACTORIALS = [
    "100000!!!!", "9999999999!", "(9!)!", "((9!)!)!", "3!!!!!!!!!!!", "1000000!/999999!", "(-5)!",
    "0.5!", "(10^{100})!", r"\binom{10^{9}}{5\cdot 10^{8}}", r"\binom{1000000}{500000}",
    r"\binom{-1}{-1}", r"\binom{x}{10^{12}}", r"\gcd(10^{1000}, 9^{9^9})", r"\lcm(1,2,x)",
    "x!^{y!^{z!}}", r"(10^{4})!^{10^{4}}",
]  # fmt: skip
DEEP = [
    "(" * 5_000 + "1" + ")" * 5_000, "{" * 50_000 + "}" * 50_000, "[" * 9_999, "((((" * 2_000,
    r"\{" * 3_000 + "1" + r"\}" * 3_000, r"\frac{1}{" * 3_000 + "2" + "}" * 3_000,
    r"\sqrt{" * 3_000 + "2" + "}" * 3_000, "|" * 3_000, "-" * 100_000, "--" * 300 + "1",
    "1" + "^1" * 2_000, "1" + "/1" * 2_000, "1" + "!" * 3_000, "1" + "%" * 3_000,
    "1" + "+1" * 100_000, "x" * 3_000, r"\sin" * 2_000 + "x", r"\sin\cos\tan" * 10 + "x",
    r"\left(" * 4_000, r"\begin{pmatrix}" * 500, r"\begin{pmatrix}1&2\\3", r"\frac" * 20_000,
    r"\pm" * 500 + "1", r"\pm 1" * 20, "1" + r"\pm 1" * 30, r"\cup" * 400,
    "(1,2)" + r"\cup(1,2)" * 300, "{1" * 1_000 + "}" * 1_000, r"\text{" * 2_000 + "}" * 2_000,
    "((1,2),(3,(4,(5,(6,(7," * 40, r"\boxed{" * 2_000 + "7" + "}" * 2_000,
]  # fmt: skip
LONG = [
    "9" * 1_000_000, "0." + "3" * 1_000_000, "1," * 100_000, "1/" + "7" * 5_000, "9" * 4_000,
    "9" * 1_999, "1." * 50_000, "a" * 1_000_000, " " * 1_000_000 + "7", "$" * 100_001,
    ",".join(map(str, range(1_000))), ",".join(["x^2+1"] * 60), ",".join(["\\sqrt{2}"] * 200),
    r"\{" + ",".join(map(str, range(500))) + r"\}", "x_{" + "1" * 3_000 + "}",
    r"\begin{pmatrix}" + "&".join(["1"] * 900) + r"\end{pmatrix}", "１" * 10_000, "½" * 5_000,
    "²" * 5_000, "1e" + "9" * 5_000, "0x" + "f" * 5_000, "1:" * 700 + "1", "1_" + "9" * 1_000,
    "1" * 1_900 + "_{36}", r"\overline{" * 100, "0." + r"\overline{" + "3" * 3_000 + "}",
]  # fmt: skip
ENDLESS = [
    r"\sum_{n=1}^{\infty} \frac{1}{n^{s}}", r"\sum_{k=1}^{10^{100}} k^{k}", r"\prod_{n=1}^\infty n",
    r"\int_0^\infty e^{-x^{x}} dx", r"\int \int \int e^{x^2} dx dy dz", r"\lim_{x \to 0} \sin(1/x)",
    r"\int_{0}^{1} \frac{\ln(1+x)}{x^{100}} dx", r"\sum_{i}\sum_{j}\sum_{k} i^{j^{k}}",
    "x^{199}(x+1)^{199}(x+2)^{199}", r"\sin(\sin(\sin(\sin(x^{99}+y^{99}))))^{99}",
    "(x+y+z+w)^{500}", "(a+b+c+d+e+f+g+h)^{60}", r"\sin(10^{10^{10}})", r"\tan(\frac{\pi}{2})",
    r"\cos(10^{300} x)", r"\arcsin(10^{10})", r"\sqrt{\sqrt{\sqrt{\sqrt{x^{1024}}}}}",
    r"\frac{x^{1000}-1}{x-1}", r"\frac{1}{x-x}", r"\frac{0}{0}", r"1/(1-1)", r"\infty-\infty",
    r"\infty^{\infty}", r"x^{100} < 5", r"\sin x > 0.3", r"e^{x} + x > 10^{10}", r"x^x^x < 2",
    r"\lfloor 10^{1000}\pi \rfloor", r"\lfloor x \rfloor + \lceil x \rceil", r"\max(x,y,z,w)",
    r"\log_{10^{-1000}}(10^{1000})", r"\arctan(\arctan(\arctan(x)))",
]  # fmt: skip
TEX = [
    r"\def\x{\x\x}\x", r"\newcommand{\a}{\a\a}\a", r"\loop\iftrue\repeat", r"\input{/etc/passwd}",
    r"\write18{touch /tmp/owned}", r"\csname x\endcsname", r"\expandafter" * 1_000, "%" * 5_000,
    r"\include{/etc/shadow}", r"\catcode`\$=13", "\\" * 20_000, "\\" * 19_999, r"\ " * 20_000,
    r"\\" * 5_000, "~" * 50_000, r"\begin{" * 3_000, r"\end{pmatrix}", r"\verb|x|", "{}" * 9_000,
    r"\left.\right." * 2_000, r"\text{\text{\text{}}}", "&" * 9_000, "^_" * 5_000, "$$" * 5_001,
]  # fmt: skip
CODE = [
    "__import__('os').system('touch /tmp/owned')", "exec('import os')", "().__class__.__bases__[0]",
    "lambda: (yield)", "open('/tmp/owned','w')", "eval(input())", "Symbol('x').free_symbols",
    "sympy.sympify('1')", "{{7*7}}", "${7*7}", "`touch /tmp/owned`", "$(touch /tmp/owned)",
    "<script>alert(1)</script>", "'; DROP TABLE answers; --", "{0.__class__}", "%s%s%s%n",
    "f'{print(1)}'", "import('os')", "x.__globals__", "Lambda(x, x)", "S(1)/0", "nan", "inf", "NaN",
    "None", "True", "[]", "{}", "()", "(,)", ",", ";", "=", "==", "<", "<<", "1<", "<1", "x∈", "∈",
]  # fmt: skip
STRANGE = [
    "1\x00", "\x00" * 9_999, "4\u200b2" * 2_000, "\u202e24", "\ufeff", "\ud800", "👍" * 9_999, "٣٤",
    "\u0300" * 9_999, "７" * 3, "ⅷ", "①", "1\u00a0000", "﹩5", "ﬁ", "\x1b[31m7", "\r\n" * 9_999, "१",
    "x\u0301", "𝟕", "½½½", "²²²", "−−−1", "°" * 999, "√" * 999, "π" * 999, "∞∞", "±±±±±±±1", "\x1e" * 999,
]  # fmt: skip
BOXED = [*TOWERS, *FACTORIALS, *DEEP, *LONG, *ENDLESS, *TEX, *CODE, *STRANGE]
BAIT = [
    "the answer " * 50_000, "answer is " * 50_000, "answer to " + "a " * 100_000, "#### " * 50_000,
    "\\boxed" * 50_000, "\\boxed{" * 50_000, "\\boxed{1} and " * 20_000, "</think>" * 50_000,
    "1 or " * 50_000, "1/" * 100_000, "1,000" * 50_000, "1e" * 100_000, "*" * 200_000,
    "**1" * 50_000, "\\(" * 100_000, "\\[" * 100_000, "$1" * 100_000, "答案" * 100_000, "." * 500_000,
    "final answer\n" * 50_000, "-" * 500_000, "\n" * 1_000_000, "answer:" + " " * 1_000_000,
    "the answer is " + "9" * 1_000_000, "the answer is " + "x" * 1_000_000, "", " ", "\x00",
]  # fmt: skip
CASES = [*(rf"so \boxed{{{text}}}" for text in BOXED), *BAIT]
SLOW = (r"\boxed{(\sqrt{2})^{\sqrt{3}}+10^{-30000}}", r"2^{\sqrt{3}/2}+10^{-30000}")
GOLDS = ("x^2+3x+1", r"\frac{\sqrt{2}}{7}")
SPARE = 0.5  # seconds for a busy machine


@pytest.fixture(scope="module")
def checker():
    with Checker(timeout=2.0) as one:
        one.check(r"\boxed{\sqrt{8}}", r"2\sqrt{2}")  # start the worker
        yield one


def test_there_are_many_cases():
    assert len(set(CASES)) >= 250


def test_each_comes_back_wrong_in_time_and_all_together_soon(checker):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    for case in CASES:
        for gold in GOLDS:
            started = time.perf_counter()
            verdict = checker.check(case, gold)
            assert verdict.reward == 0, (case[:80], verdict.reason)
            assert time.perf_counter() - started < 2 * checker.timeout + SPARE, case[:80]
    assert time.perf_counter() - begun < 40  # for two golds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB

    assert not Path("/tmp/owned").exists()


def test_from_eight_threads_at_once(checker):
    def timed(case):
        started = time.perf_counter()
        return checker.check(case, GOLDS[0]).reward, time.perf_counter() - started

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for case, (reward, seconds) in zip(CASES, threads.map(timed, CASES), strict=True):
            assert reward == 0
            assert seconds < 2 * checker.timeout + SPARE, case[:80]


def test_inside_asyncio(checker):
    async def all_at_once():
        return await asyncio.gather(*(asyncio.to_thread(checker.check, c, "7") for c in CASES[:60]))

    async def in_the_loop():
        return [checker.check(case, GOLDS[1]) for case in CASES[-60:]]

    assert all(v.reward in (0, 1) for v in asyncio.run(all_at_once()))
    assert all(v.reward == 0 for v in asyncio.run(in_the_loop()))


def test_hostile_golds_do_no_harm_either(checker):
    for gold in BOXED:
        assert checker.check(r"\boxed{\frac{12345}{678}}", gold).reward == 0, gold[:80]


def test_a_share_with_a_stuck_check_goes_on():
    pairs = [("7", "7"), SLOW, ("8", "8"), SLOW, ("9", "8")]
    with Checker(workers=2, timeout=0.01) as hasty:
        verdicts = hasty.check_many(pairs)
    assert [v.reward for v in verdicts] == [1, 0, 1, 0, 0]
    assert [v.reason for v in verdicts if "timeout" in v.reason] == ["boxed: timeout"] * 2
    assert check("7", "7").reward == 1
