"""A question is asked with the same token ids in training, fine-tuning, evaluation and the app."""

import json
import shutil
from pathlib import Path

import pandas
import pytest
from tokenizers.processors import TemplateProcessing

from app.answers import Answerer, prompt_of
from app.runs import Library
from common.files import write_text
from data import Problem, PromptTemplate, write_problems
from eval.options import parser, request_of
from models.loading import load_model, load_tokenizer
from tests.conftest import config_of
from tests.test_prompts import CHAT, NO_SYSTEM, THINKS
from train.build import prompt_template
from train.config import SftConfig, check_config, to_toml
from train.run import Run, train
from train.supervised import _examples

QUESTION = "Tom has 12 apples, and finds 5 more. How many has he?"
LISTED = CHAT.replace("<assistant>", "<assistant>{{ modes | join(',') if modes is defined }}")
SETTINGS = {
    "plain": (None, {}),
    "plain with shots": (None, {"shots": 3}),
    "a tokenizer that appends": ("appends", {}),
    "a chat": (CHAT, {}),
    "a chat of a tokenizer that appends": (CHAT + "{# appends #}", {"shots": 1}),
    "a system message": (CHAT, {"system": 'Be "brief",\nand right.'}),
    "no system message": (CHAT, {"system": ""}),
    "no system role": (NO_SYSTEM, {"system": "Be brief.", "shots": 1}),
    "a template's arguments": (CHAT, {"chat_template_kwargs": {"enable_thinking": False}}),
    "a list as argument": (LISTED, {"chat_template_kwargs": {"modes": ["add", "halve"]}}),
    "plain though there is a chat": (CHAT, {"template": "plain", "shots": 2}),
    "an opened thought": (THINKS, {"template": "chat"}),
}


def model_with(base: Path, template: str | None, folder: Path) -> Path:
    """The tiny base with another chat template, or a tokenizer that appends an end of sequence."""
    shutil.copytree(base, folder)
    tokenizer = load_tokenizer(base)
    if template and "appends" in template:
        eos = tokenizer.eos_token
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{eos} $A {eos}", special_tokens=[(eos, tokenizer.eos_token_id)]
        )
    if template and template != "appends":
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def words_of(prompt: dict) -> list[str]:
    """The settings of a prompt as options of `mathgrpo eval`."""
    words = []
    for name, value in prompt.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, dict):
            value = [f"{key}={json.dumps(inner)}" for key, inner in value.items()]
        words += [option, *(value if isinstance(value, list) else [str(value)])]
    return words


@pytest.mark.parametrize("name", SETTINGS)
def test_training_fine_tuning_evaluation_and_the_app_ask_with_the_same_ids(base, tmp_path, name):
    template, prompt = SETTINGS[name]
    model = model_with(base, template, tmp_path / "model")
    write_problems(tmp_path / "one.jsonl", [Problem("a", QUESTION, "17", "#### 17")])
    data = str(tmp_path / "one.jsonl")
    config = config_of(tmp_path / "runs" / "r", model, prompt=prompt, data={"train": data})
    trained = prompt_template(load_tokenizer(model), config.prompt).encode(QUESTION)

    settings = {"run": {"out": "x", "steps": 1}, "model": {"path": str(model)}}
    settings |= {"data": {"train": data}, "prompt": prompt}
    tune = check_config(SftConfig, settings, where="test")
    [(tuned, _)] = _examples(tune, load_model(model), load_tokenizer(model))

    words = ["--model", str(model), "--data", data, "--out", str(tmp_path / "out")]
    request = request_of(parser().parse_args([*words, *words_of(prompt)]))
    evaluated = PromptTemplate(load_tokenizer(request.model), **request.prompt).encode(QUESTION)

    write_text(tmp_path / "runs" / "r" / "config.toml", to_toml(config))
    [choice] = Library(tmp_path / "runs").choices().values()
    shown = prompt_of(choice, load_tokenizer(choice.model)).encode(QUESTION)
    assert trained == tuned == evaluated == shown
    plain = load_tokenizer(base).encode(f"Question: {QUESTION}\nAnswer:")
    assert (trained == plain) == (name == "plain")


def test_the_ids_that_are_sampled_from_are_those(base, tmp_path):
    prompt = {"system": "Be brief.", "shots": 1}
    model = model_with(base, NO_SYSTEM, tmp_path / "model")
    write_problems(tmp_path / "one.jsonl", [Problem("a", QUESTION, "17", "#### 17")])
    config = config_of(
        tmp_path / "runs" / "r",
        model,
        run={"steps": 1},
        prompt=prompt,
        data={"train": str(tmp_path / "one.jsonl")},
        rollout={"prompts": 1, "completions": 2},
        sampling={"max_tokens": 2},
    )
    train(Run(config))
    rows = pandas.read_parquet(tmp_path / "runs" / "r" / "rollouts" / "step_000001.parquet")
    expected = PromptTemplate(load_tokenizer(model), **prompt).encode(QUESTION)
    assert [list(ids) for ids in rows["prompt_ids"]] == [expected] * 2
    choices = list(Library(tmp_path / "runs").choices().values())
    answerer = Answerer()
    *_, last = answerer.stream(QUESTION, choices, 0.0, 0)
    answerer.close()
    assert [answer.prompt for answer in last] == [expected] * len(choices)
