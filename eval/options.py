"""The command line of `python -m eval`: all that can be known to be wrong is said here."""

import argparse
from pathlib import Path
from typing import Any

from common.errors import OneLineParser, UserError
from common.files import check_replaceable
from common.pairs import values
from data import load_problems
from data.arguments import add_arguments, load_options
from data.prompts import NAMES
from data.shots import SHOTS
from eval.files import RESULT
from eval.request import BASE, EvalRequest, check_ks
from sampling import BACKENDS, SamplingParams

DTYPES = ("auto", "float32", "bfloat16", "float16")
RESERVED = ("model", "adapter", "tokenizer", "dtype", "backend")


def parser() -> OneLineParser:
    """The options of `python -m eval`."""
    made = OneLineParser(
        prog="python -m eval",
        description="Measure pass@k of a model, or of several adapters on it, on one set or more. "
        "A killed evaluation resumes when it is started again.",
    )
    made.add_argument("--model", required=True, help="base model: folder or hub name")
    made.add_argument("--adapter", nargs="*", default=[], help=f"LoRA folders; '{BASE}' for none")
    made.add_argument("--data", required=True, nargs="+", help="problem files, hub sets, synth:…")
    add_arguments(made)
    made.add_argument("--n", type=int, default=16, help="samples a problem")
    made.add_argument("--k", default="1", help="such as 1,4,16")
    made.add_argument("--out", required=True, help="folder for results.json, samples.parquet, …")
    made.add_argument("--export", action="store_true", help="also in lm-evaluation-harness' form")
    _add_sampling(made.add_argument_group("sampling"))
    _add_prompt(made.add_argument_group("prompt"))
    return made


def _add_sampling(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--temperature", type=float, default=1.0, help="0 is greedy")
    group.add_argument("--max-tokens", type=int, default=512)
    group.add_argument("--top-p", type=float, default=1.0)
    group.add_argument("--top-k", type=int, default=0, help="0 cuts nothing")
    group.add_argument("--min-p", type=float, default=0.0)
    group.add_argument("--stop", nargs="+", default=[], metavar="TEXT", help="texts that end it")
    group.add_argument("--seed", type=int, default=0)
    group.add_argument("--backend", default="auto", choices=BACKENDS)
    group.add_argument("--dtype", default="auto", choices=DTYPES)
    group.add_argument(
        "--options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of the sampling engine, such as gpu_memory_utilization=0.9 max_model_len=4096",
    )


def _add_prompt(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--template", default="auto", choices=NAMES)
    group.add_argument("--system", help="the system message; '' for none")
    group.add_argument("--shots", type=int, default=0, help="worked examples before a question")
    group.add_argument(
        "--chat-template-kwargs",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="for the chat template, such as enable_thinking=false",
    )


def request_of(options: argparse.Namespace) -> EvalRequest:
    """What the options ask for, the problems loaded; raises UserError for the first thing wrong."""
    ks = _ks(options)
    if not 0 <= options.shots <= len(SHOTS):
        raise UserError(f"there are {len(SHOTS)} worked examples, not {options.shots}")
    params = SamplingParams(
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        seed=options.seed,
        top_p=options.top_p,
        top_k=options.top_k,
        min_p=options.min_p,
        stop=tuple(options.stop),
    )
    engine = values(options.options, "--options")
    if taken := [key for key in engine if key in RESERVED]:
        raise UserError(f"--options cannot set {taken[0]}")
    prompt = {
        "template": options.template,
        "system": options.system,
        "shots": options.shots,
        "chat_template_kwargs": values(options.chat_template_kwargs, "--chat-template-kwargs"),
    }
    how = load_options(options)
    for listed, option in ((options.adapter, "--adapter"), (options.data, "--data")):
        if twice := {name for name in listed if listed.count(name) > 1}:
            raise UserError(f"{option} names {twice.pop()} twice")
    _check_adapters(options.adapter)
    request = EvalRequest(
        model=options.model,
        adapters=[None if a == BASE else a for a in options.adapter] or [None],
        sets={source: [] for source in options.data},
        params=params,
        n=options.n,
        ks=ks,
        prompt=prompt,
        backend=options.backend,
        dtype=options.dtype,
        options=engine,
        export=options.export,
    )
    for place in request.places(Path(options.out)).values():
        check_replaceable(place, RESULT)
    sets = {source: load_problems(source, **how) for source in options.data}
    return request.with_sets(sets)


def _ks(options: argparse.Namespace) -> list[int]:
    if options.n < 1:
        raise UserError(f"--n must be at least 1, not {options.n}")
    try:
        ks = sorted({int(k) for k in options.k.split(",")})
    except ValueError:
        raise UserError(f"--k takes numbers such as 1,4,16, not '{options.k}'") from None
    check_ks(ks, options.n)
    return ks


def _check_adapters(adapters: list[Any]) -> None:
    """The folders are there; whether they fit the model is asked once libraries are loaded."""
    for adapter in adapters:
        if adapter != BASE and not (Path(adapter) / "adapter_config.json").is_file():
            raise UserError(
                f"{adapter}: not an adapter folder (adapter_config.json expected); '{BASE}' "
                "stands for the model without one"
            )
