"""From a problem to the token ids a model is asked with: the one place where that happens."""

import re
from collections.abc import Mapping
from typing import Any

from common.errors import UserError, first_line, nearest
from data.problem import Problem
from data.shots import SHOTS, examples

PLAIN = "Question: {question}\nAnswer:"
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
NAMES = ("auto", "chat", "plain")
OURS = ("messages", "conversation", "tokenize", "add_generation_prompt", "continue_final_message")

_OPEN_THOUGHT = re.compile(r"<think>\s*\Z")


class PromptTemplate:
    """Turns problems into prompts for one tokenizer.

    `template`: `chat` uses the tokenizer's chat template, `plain` the text `Question: … Answer:`,
    `auto` the chat template where the tokenizer has one. `system` is the system message of a chat:
    None for ours, an empty text for none; a template without a system role gets it at the head of
    the user's turn. `shots` worked examples stand before the question. `chat_template_kwargs`
    (such as enable_thinking) go to the chat template. Problems that bring `messages` are asked by
    these as they are, without our system message.

    Raises UserError for settings that cannot be meant: an unknown name, a missing chat template,
    a system message or arguments without one, arguments that the template does not read, more
    `shots` than there are.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str = "auto",
        *,
        system: str | None = None,
        shots: int = 0,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ):
        if template not in NAMES:
            raise UserError(f"unknown prompt template '{template}'{nearest(template, NAMES)}")
        has_chat = bool(getattr(tokenizer, "chat_template", None))
        if template == "chat" and not has_chat:
            raise UserError("this tokenizer has no chat template; use the prompt template 'plain'")
        if not 0 <= shots <= len(SHOTS):
            raise UserError(f"there are {len(SHOTS)} worked examples, not {shots}")
        self.tokenizer = tokenizer
        self.chat = has_chat if template == "auto" else template == "chat"
        self.shots, self.examples = shots, examples(shots)
        self.kwargs = dict(chat_template_kwargs or {})
        if not self.chat:
            _refuse_chat_settings(system, self.kwargs)
        self.system = SYSTEM if system is None else system.strip()
        if self.chat:
            _check_kwargs(tokenizer, self.kwargs)
            self._folds = bool(self.system) and not self._has_system_role()

    def render(self, problem: Problem | str) -> str:
        """The prompt as text; raises UserError for messages that this template cannot take."""
        if isinstance(problem, Problem) and problem.messages is not None:
            return self._render_messages(problem)
        question = problem if isinstance(problem, str) else problem.question
        if not self.chat:
            return self.examples + PLAIN.format(question=question)
        user = self.examples + question
        if self._folds:
            user = f"{self.system}\n\n{user}"
        messages = [{"role": "user", "content": user}]
        if self.system and not self._folds:
            messages.insert(0, {"role": "system", "content": self.system})
        return self._apply(messages)

    def describe(self) -> dict[str, Any]:
        """All that decides how a question is asked, to be kept with what came of it."""
        return {
            "template": "chat" if self.chat else "plain",
            "system": self.system if self.chat else None,
            "shots": self.shots,
            "chat_template_kwargs": self.kwargs,
        }

    def encode(self, problem: Problem | str) -> list[int]:
        """The prompt as token ids, with the special tokens the model expects before it.

        What a tokenizer appends (an end of sequence) is left off: the prompt goes on.
        """
        text = self.render(problem)
        bare = self.tokenizer.encode(text, add_special_tokens=False)
        if self.chat:
            return bare
        ids = self.tokenizer.encode(text, add_special_tokens=True)
        for start in range(len(ids) - len(bare) + 1):
            if ids[start : start + len(bare)] == bare:
                return ids[: start + len(bare)]
        return ids

    def encode_target(self, solution: str) -> list[int]:
        """A worked solution as the token ids that follow the prompt, closed by end of sequence.

        Where the prompt itself opens a thought, the target ends it first, so that the solution is
        the answer.
        """
        lead = "" if self.chat else " "
        if self.chat and "</think>" not in solution and _OPEN_THOUGHT.search(self.render("?")):
            lead = "\n</think>\n\n"
        ids = self.tokenizer.encode(lead + solution.strip(), add_special_tokens=False)
        return [*ids, self.tokenizer.eos_token_id]

    def _render_messages(self, problem: Problem) -> str:
        messages = list(problem.messages or ())
        if self.shots:
            raise UserError(
                f"problem {problem.id} brings its own messages; worked examples (shots) cannot be "
                "put before them"
            )
        if self.chat:
            return self._apply(messages)
        if any(message["role"] not in ("system", "user") for message in messages):
            raise UserError(
                f"problem {problem.id} is a chat of several turns, which needs a tokenizer with a "
                "chat template"
            )
        return PLAIN.format(question="\n\n".join(message["content"] for message in messages))

    def _apply(self, messages: list[dict[str, Any]]) -> str:
        try:
            return self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **self.kwargs
            )
        except Exception as error:  # jinja2's and whatever a template raises
            roles = " ".join(message["role"] for message in messages)
            raise UserError(
                f"the chat template refuses the messages ({roles}): {first_line(error)}"
            ) from error

    def _has_system_role(self) -> bool:
        """Whether the template takes a system message, and shows it to the model."""
        messages = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": "?"},
        ]
        try:
            return self.system in self._apply(messages)
        except UserError:
            self._apply(messages[1:])  # a template that fails without it too says why
            return False


def _refuse_chat_settings(system: str | None, kwargs: Mapping[str, Any]) -> None:
    if system:
        raise UserError(
            "a system message needs a chat template, and the plain prompt has none; leave "
            "system out, or use the prompt template 'chat' with a tokenizer that has one"
        )
    if kwargs:
        raise UserError(
            f"chat_template_kwargs ({', '.join(kwargs)}) need a chat template, and the plain "
            "prompt has none"
        )


def _check_kwargs(tokenizer: Any, kwargs: Mapping[str, Any]) -> None:
    """Raises UserError for an argument that the chat template would pass over."""
    text = tokenizer.get_chat_template()
    words = set(re.findall(r"[A-Za-z_]\w*", " ".join(re.findall(r"\{[{%].*?[}%]\}", text, re.S))))
    for name in kwargs:
        if name in OURS:
            raise UserError(f"chat_template_kwargs.{name} is set by mathgrpo itself")
        if name not in words:
            raise UserError(
                f"the chat template does not read '{name}'{nearest(name, words)}; leave it out of "
                "chat_template_kwargs"
            )
