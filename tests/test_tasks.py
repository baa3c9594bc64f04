"""Tasks that bring their own verifier: their questions, their verdicts, train and held-out apart."""

import dataclasses
import random
import sys

import pandas
import pytest

from common.errors import UserError
from data import load_problems, write_problems
from eval.compare import compare
from eval.judge import judge
from eval.result import load_result
from rewards import Checker, check
from tests.conftest import config_of
from train.config import SftConfig, check_config
from train.records.metrics import read_metrics
from train.run import Run, train
from train.supervised import run_sft

TASKS = [
    "reasoning_gym:chain_sum,n=6,min_digits=1,max_digits=2",
    "reasoning_gym:word_sorting,n=6,max_words=4",
    "reasoning_gym:simple_equations,n=6",
]


@pytest.fixture(scope="module")
def checker():
    with Checker(workers=1) as one:
        yield one


@pytest.mark.parametrize("source", TASKS)
def test_a_tasks_own_answers_score_one_and_anothers_score_zero(source, checker):
    problems = load_problems(source)
    assert len(problems) == 6
    assert len({p.id for p in problems}) == 6
    answers = [p.answer for p in problems]
    other = [next(a for a in answers if a != own) for own in answers]
    for given, reward in ((answers, 1), (other, 0)):
        for marked in ("Thinking 1, 2, 3.\n#### {}", "<answer>{}</answer>", "So: \\boxed{{{}}}"):
            texts = [marked.format(answer) for answer in given]
            verdicts = judge(checker, [(p, t, False) for p, t in zip(problems, texts, strict=True)])
            assert [v.reward for v in verdicts] == [reward] * 6
            assert all(source.split(":")[1].split(",")[0] in v.reason for v in verdicts)
    [unmarked] = judge(checker, [(problems[0], f"it may be {answers[0]}", False)])
    assert (unmarked.reward, unmarked.extracted) == (0, None)


@pytest.mark.parametrize("form", ["#### {}", "<answer>{}</answer>", "\\boxed{{{}}}"])
def test_a_list_of_words_is_taken_whole(form):
    words = "after, given, since, where"
    assert check(form.format(words), words).extracted == words


def test_a_task_takes_what_its_own_code_takes(checker):
    [problem] = load_problems("reasoning_gym:countdown,n=1,min_numbers=3,max_numbers=3")
    another = f"1 * ({problem.answer})"  # the right value, with a number that was not given
    given = (problem.answer, f"({problem.answer})", another)
    verdicts = judge(checker, [(problem, f"#### {answer}", False) for answer in given])
    assert [verdict.reward for verdict in verdicts] == [1, 1, 0]


def test_plain_problems_beside_a_tasks_are_still_the_checkers(checker):
    [own] = load_problems("reasoning_gym:word_sorting,n=1")
    [plain] = load_problems("synth:train,n=1")
    asked = [(plain, f"#### {plain.answer}", False), (own, f"#### {own.answer}", False)]
    both = judge(checker, [*asked, (plain, "#### 123456789", False)])
    assert [v.reward for v in both] == [1, 1, 0]
    assert ["word_sorting" in v.reason for v in both] == [False, True, False]


def test_train_and_held_out_items_are_apart_whatever_the_seed():
    seen = set()
    for seed in (0, 1):
        for split in ("train", "heldout"):
            source = (
                f"reasoning_gym:chain_sum,n=300,seed={seed},split={split},min_digits=4,max_digits=6"
            )
            ids = {p.id for p in load_problems(source)}
            assert load_problems(source)[7] == load_problems(source)[7]
            assert len(ids) == 300
            assert not ids & seen
            seen |= ids


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("reasoning_gym:chain_smu", "no task 'chain_smu'.*chain_sum"),
        ("reasoning_gym:chain_sum,min_digts=3", "no key 'min_digts'.*min_digits"),
        ("reasoning_gym:chain_sum,size=3", "no key 'size'"),
        ("reasoning_gym:chain_sum,min_terms=-3", "min_terms must be positive"),
        ("reasoning_gym:chain_sum,min_terms=many", "refuses this"),
        ("reasoning_gym:chain_sum,n=0", "n must be"),
        ("reasoning_gym:chain_sum,split=test", "split is train or heldout"),
        ("reasoning_gym:chain_sum,seed=-1", "seed must be"),
    ],
)
def test_what_is_wrong_with_a_task_is_one_line(source, said):
    with pytest.raises(UserError, match=said):
        load_problems(source)


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(UserError, match=r"pip install 'mathgrpo\[tasks\]'"):
        load_problems("reasoning_gym:chain_sum,n=17")


def test_training_and_evaluation_take_the_tasks_verdicts(base, tmp_path):
    config = config_of(
        tmp_path / "r",
        base,
        run={"steps": 1},
        data={"train": TASKS[0]},
        rollout={"prompts": 2, "completions": 2},
        eval={"data": TASKS[0].replace("n=6", "n=2,split=heldout"), "n": 1},
    )
    train(Run(config))
    [line] = read_metrics(tmp_path / "r")
    assert line["eval/pass@1"] is not None
    rows = pandas.read_parquet(tmp_path / "r" / "rollouts" / "step_000001.parquet")
    samples = pandas.read_parquet(next((tmp_path / "r" / "eval").rglob("samples.parquet")))
    for reasons in (rows["reason"], samples["reason"]):
        assert reasons.str.contains("chain_sum|no marked answer").all()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_grpo_gains_on_a_task_after_fine_tuning_on_it(tmp_path):
    """A tiny model learns sums from answers of which four in ten are slips; rewards undo these."""
    task = "reasoning_gym:chain_sum,min_terms=2,max_terms=2,min_digits=1,max_digits=2"
    draw, told = random.Random(0), []
    for problem in load_problems(f"{task},n=6000"):
        slip = draw.choice([-3, -2, -1, 1, 2, 3]) if draw.random() < 0.4 else 0
        solution = f"#### {int(problem.answer) + slip}"
        told.append(dataclasses.replace(problem, solution=solution, task=None))
    write_problems(tmp_path / "slips.jsonl", told)
    tune = {
        "run": {"out": str(tmp_path / "tuned"), "steps": 350},
        "model": {"scratch": "tiny"},
        "data": {"train": str(tmp_path / "slips.jsonl"), "batch": 64},
        "optimizer": {"lr": 3e-3, "matrix_lr": 6e-3, "schedule": "linear", "warmup_steps": 10},
    }
    tuned = run_sft(check_config(SftConfig, tune, where="test"))
    config = config_of(
        tmp_path / "r",
        tuned,
        run={"steps": 40, "save_every": 40},
        lora={"rank": 16, "alpha": 32},
        data={"train": f"{task},n=6000"},
        sampling={"max_tokens": 8},
        rollout={"prompts": 32},
        algorithm={"beta": 0.0},
        eval={"data": f"{task},n=200,split=heldout", "every": 40, "n": 4},
    )
    train(Run(config))
    [folder] = (tmp_path / "r" / "eval").iterdir()
    found = compare(load_result(folder / "base"), load_result(folder / "step_000040"))
    print(*found.lines(), sep="\n")
    assert found.difference[1].ci_low > 0
