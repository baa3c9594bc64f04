"""How a question is asked: every setting counts, and one that cannot be meant is refused."""

import pytest

from common.errors import UserError
from data import Problem, PromptTemplate, fingerprint
from data.prompts import SYSTEM
from models.tiny import tiny_tokenizer
from train.supervised import tiny_texts

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% if enable_thinking is defined and not enable_thinking %}<nothink>{% endif %}{% endif %}"
NO_SYSTEM = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"
DROPS_SYSTEM = "{% for m in messages %}{% if m.role != 'system' %}<{{ m.role }}>{{ m.content }}\n{% endif %}{% endfor %}<assistant>"
THINKS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant><think>\n"


@pytest.fixture(scope="module")
def texts():
    return tiny_texts()


@pytest.fixture
def tokenizer(texts):
    return tiny_tokenizer(texts)


def chat(tokenizer, template=CHAT):
    tokenizer.chat_template = template
    return tokenizer


def test_the_system_message_is_ours_the_users_or_none(tokenizer):
    chat(tokenizer)
    assert PromptTemplate(tokenizer).render("2+3?") == f"<system>{SYSTEM}\n<user>2+3?\n<assistant>"
    assert (
        PromptTemplate(tokenizer, system="Be brief.").render("2+3?").startswith("<system>Be brief.")
    )
    assert PromptTemplate(tokenizer, system="").render("2+3?") == "<user>2+3?\n<assistant>"


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
def test_a_template_without_a_system_role_gets_the_text_in_the_users_turn(tokenizer, template):
    prompt = PromptTemplate(chat(tokenizer, template), system="Be brief.")
    assert prompt.render("2+3?") == "<user>Be brief.\n\n2+3?\n<assistant>"


def test_arguments_reach_the_chat_template(tokenizer):
    prompt = PromptTemplate(
        chat(tokenizer), system="", chat_template_kwargs={"enable_thinking": False}
    )
    assert prompt.render("2+3?").endswith("<assistant><nothink>")
    assert prompt.describe()["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_target_after_an_opened_thought_ends_it_first(tokenizer):
    prompt = PromptTemplate(chat(tokenizer, THINKS))
    target = tokenizer.decode(prompt.encode_target("It is 5."), skip_special_tokens=True)
    assert "</think>" in target
    assert target.index("</think>") < target.index("It is")


def test_an_appended_end_of_sequence_does_not_stay_at_the_end_of_a_prompt(tokenizer):
    from tokenizers.processors import TemplateProcessing

    eos = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{eos} $A {eos}", special_tokens=[(eos, tokenizer.eos_token_id)]
    )
    ids = PromptTemplate(tokenizer, "plain").encode("2+3?")
    assert tokenizer.encode("2+3?")[-1] == tokenizer.eos_token_id
    assert ids[0] == tokenizer.eos_token_id
    assert ids[-1] != tokenizer.eos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True).endswith("Answer:")


def test_a_problems_own_messages_are_sent_as_they_are(tokenizer):
    messages = ({"role": "system", "content": "Own."}, {"role": "user", "content": "2+3?"})
    problem = Problem("a", "2+3?", "5", messages=messages)
    assert (
        PromptTemplate(chat(tokenizer)).render(problem) == "<system>Own.\n<user>2+3?\n<assistant>"
    )
    assert PromptTemplate(tokenizer, "plain").render(problem) == "Question: Own.\n\n2+3?\nAnswer:"
    with pytest.raises(UserError, match="shots"):
        PromptTemplate(tokenizer, shots=2).render(problem)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"template": "chta"}, "did you mean 'chat'"),
        ({"template": "chat"}, "no chat template"),
        ({"shots": 9}, "8 worked examples"),
        ({"shots": -1}, "8 worked examples"),
        ({"system": "Be brief."}, "needs a chat template"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "need a chat template"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(tokenizer, settings, says):
    with pytest.raises(UserError, match=says):
        PromptTemplate(tokenizer, **settings)


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"enable_thinkin": False}, "did you mean 'enable_thinking'"),
        ({"tokenize": True}, "is set by mathgrpo"),
    ],
)
def test_arguments_that_a_chat_template_does_not_read_are_refused(tokenizer, kwargs, says):
    with pytest.raises(UserError, match=says):
        PromptTemplate(chat(tokenizer), chat_template_kwargs=kwargs)


def test_the_fingerprint_tells_every_change_that_training_would_see():
    a, b = Problem("1", "q", "5"), Problem("2", "r", "6")
    sets = [[a, b], [b, a], [a], [Problem("1", "q", "7"), b], [Problem("1", "s", "5"), b]]
    sets.append([Problem("1", "q", "5", messages=({"role": "user", "content": "q"},)), b])
    assert len({fingerprint(problems) for problems in sets}) == len(sets)
    assert fingerprint([a, b]) == fingerprint([Problem("1", "q", "5", solution="s"), b])
