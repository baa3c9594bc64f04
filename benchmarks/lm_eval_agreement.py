"""`python benchmarks/lm_eval_agreement.py BASE GSM8K_TEST.jsonl [N]`: lm-evaluation-harness and ours.

Both ask the same tiny model the first N problems greedily, with the same prompt; lm-evaluation-harness
through our task file (`eval/lm_eval`) with its own HF backend. Prints how many completions and scores
agree and lists what differs. It is installed into `.venv-peers` where it is missing.
"""

import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its sampling.py is not the room

from benchmarks.peers import use_peers
from data import PromptTemplate, load_problems
from eval.harness import sample_problems
from rewards import Checker
from sampling import SamplingParams, load_sampler

TOKENS = 96
TASKS = Path(__file__).parents[1] / "eval" / "lm_eval"


def theirs(base: str, file: str, count: int) -> list[tuple[str, float]]:
    """Completion and score of each problem by lm-evaluation-harness."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory() as folder:
        task = (TASKS / "gsm8k_mathgrpo.yaml").read_text()
        task = task.replace("dataset_path: openai/gsm8k\ndataset_name: main\n", (
            f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {Path(file).resolve()}\n"
        )).replace("max_gen_toks: 512", f"max_gen_toks: {TOKENS}")  # fmt: skip
        (Path(folder) / "gsm8k_mathgrpo.yaml").write_text(task)
        (Path(folder) / "gsm8k_mathgrpo.py").write_text((TASKS / "gsm8k_mathgrpo.py").read_text())
        found = simple_evaluate(
            model=HFLM(pretrained=base, device="cpu", dtype="float32", batch_size=16),
            tasks=["gsm8k_mathgrpo"],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            limit=count,
            log_samples=True,
            bootstrap_iters=0,
        )
    samples = sorted(found["samples"]["gsm8k_mathgrpo"], key=lambda sample: sample["doc_id"])
    return [(sample["resps"][0][0], float(sample["exact_match"])) for sample in samples]


def ours(base: str, file: str, count: int) -> list[tuple[str, float]]:
    """The same by our harness."""
    sampler = load_sampler("torch", base)
    params = SamplingParams(temperature=0.0, max_tokens=TOKENS)
    with Checker() as checker:
        samples = sample_problems(
            sampler,
            load_problems(file, limit=count),
            PromptTemplate(sampler.tokenizer, "plain"),
            checker,
            params,
            n=1,
        )
    return [(row.completion, float(row.reward)) for row in samples.itertuples()]


def main(base: str, file: str, count: int = 200) -> None:
    mine, other = ours(base, file, count), theirs(base, file, count)
    same_text = sum(a[0].strip() == b[0].strip() for a, b in zip(mine, other, strict=True))
    same_score = sum(a[1] == b[1] for a, b in zip(mine, other, strict=True))
    print(
        f"{len(mine)} problems: {same_text} completions and {same_score} scores agree; right: "
        f"{sum(s for _, s in mine):.0f} and {sum(s for _, s in other):.0f}"
    )
    for number, (a, b) in enumerate(zip(mine, other, strict=True)):
        if a[0].strip() != b[0].strip() or a[1] != b[1]:
            print(f"  {number}: ours {a!r}, theirs {b!r}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    use_peers("lm-eval")
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
