"""An evaluation reads every row as it stands: ids, long prompts, marks, engines."""

import json
import shutil

import pytest

from common.errors import UserError
from data import Problem, PromptTemplate, load_problems
from eval.harness import evaluate, sample_problems
from eval.request import EvalRequest
from eval.sweep import engine_options
from rewards import Checker
from sampling import Completion, SamplingParams, load_sampler
from tests.fork_server import command

ASKED = SamplingParams(max_tokens=8)


class Scripted:
    """A sampler that writes what the question says; only its texts are not a model's."""

    context = 128

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def sample(self, prompts, n, params):
        texts = [
            self.tokenizer.decode(prompt).split("SAY ")[1].split("\n")[0] for prompt in prompts
        ]
        return [[Completion(text, [1], [0.0], "stop")] * n for text in texts]


@pytest.fixture(scope="module")
def sampler(base):
    with load_sampler("torch", base) as sampler:
        yield sampler


def measured(sampler, problems, n=1):
    prompt = PromptTemplate(sampler.tokenizer, "plain")
    with Checker(workers=1) as checker:
        return evaluate(
            sampler, problems, prompt, checker, ASKED, n=n, ks=[1], model="m", adapter=None, data="d"
        )  # fmt: skip


def test_rows_with_one_id_or_none_are_problems_of_their_own(sampler, tmp_path):
    """Merged, the one that is right would count for both."""
    says = Scripted(sampler.tokenizer)
    problems = [Problem("same", f"SAY #### {x}", "5") for x in (5, 6, 7, 8)]
    results, samples = measured(says, problems)
    assert results["n_problems"] == 4
    assert results["pass_at_k"]["1"]["mean"] == 0.25
    assert samples["problem"].nunique() == 4
    rows = [{"id": None, "question": f"SAY #### {x}", "answer": "5"} for x in (5, 6)]
    (tmp_path / "null.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    results, _ = measured(says, load_problems(tmp_path / "null.jsonl"))
    assert (results["n_problems"], results["pass_at_k"]["1"]["mean"]) == (2, 0.5)


def test_an_answer_without_a_mark_counts_in_the_lenient_rate_alone(sampler):
    says = Scripted(sampler.tokenizer)
    problems = [Problem("a", "SAY it makes 5", "5"), Problem("b", "SAY #### 5", "5")]
    results, samples = measured(says, problems)
    assert results["pass_at_k"]["1"]["mean"] == 1.0
    assert results["strict_pass_at_k"]["1"]["mean"] == 0.5
    assert samples["strict"].tolist() == [0, 1]


def test_an_overlong_prompt_costs_itself_alone_and_is_numbered_within_the_file(sampler, capsys):
    long = "How many? " * sampler.context
    problems = [Problem(str(i), long if i == 700 else f"What is {i} + 1?", "1") for i in range(702)]
    prompt = PromptTemplate(sampler.tokenizer, "plain")
    with Checker(workers=1) as checker:  # in more than one batch
        samples = sample_problems(
            sampler, problems, prompt, checker, SamplingParams(max_tokens=1), 1, quiet=True
        )
    said = capsys.readouterr().err
    assert "1 of 702 prompts" in said
    assert "number 701 (problem 700" in said
    row = samples.iloc[700]
    assert (row["reward"], row["tokens"]) == (0, 0)
    assert "no room" in row["reason"]
    assert (samples["tokens"].drop(700) == 1).all()
    with pytest.raises(UserError, match="no prompt leaves room"):
        measured(sampler, [Problem("x", long, "1")])


def test_vllm_gets_room_for_the_greatest_rank_of_the_adapters_and_the_options_named(
    base, finished_run, tmp_path
):
    adapters = [str(finished_run / "checkpoints" / "step_000004")]
    for name, change in (("r100", {"r": 100}), ("pattern", {"rank_pattern": {"q_proj": 300}})):
        shutil.copytree(adapters[0], tmp_path / name)
        path = tmp_path / name / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        adapters.append(str(tmp_path / name))

    def options(count, backend="vllm", **more):
        return engine_options(
            EvalRequest(
                model=str(base), adapters=[None, *adapters[:count]], sets={}, params=ASKED, n=1,
                ks=[1], prompt={}, backend=backend, dtype="auto", options=more, export=False,
            )
        )  # fmt: skip

    assert [options(count).get("max_lora_rank") for count in range(4)] == [None, 8, 100, 300]
    assert options(1, max_lora_rank=64, max_model_len=512) == {
        "dtype": "auto", "max_lora_rank": 64, "max_model_len": 512,
    }  # fmt: skip
    with pytest.raises(UserError, match=r"the torch backend has no max_batc .did you mean"):
        options(0, "torch", max_batc=2)


def test_options_reach_the_engine_of_an_evaluation(base, tmp_path):
    words = ["eval", "--model", base, "--data", "synth:heldout,n=2", "--n", "2", "--out"]
    more = ["--max-tokens", "4", "--options"]
    done = command(*words, tmp_path / "a", *more, "max_batch=1")
    assert done.returncode == 0, done.stderr
    done = command(*words, tmp_path / "b", *more, "max_batches=1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "max_batch" in done.stderr
