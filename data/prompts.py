"""From a question to the token ids a model is asked with: the one place where that happens."""

from typing import Any

from common.errors import UserError, nearest
from data.shots import SHOTS, examples

PLAIN = "Question: {question}\nAnswer:"
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
NAMES = ("auto", "chat", "plain")


class PromptTemplate:
    """Turns questions into prompts for one tokenizer.

    `chat` uses the tokenizer's chat template with a system message, `plain` the text
    `Question: … Answer:`, `auto` the chat template where the tokenizer has one. Raises UserError
    for an unknown name, a missing chat template, or more `shots` (worked examples before the
    question) than there are.
    """

    def __init__(self, tokenizer: Any, name: str = "auto", system: str = SYSTEM, *, shots: int = 0):
        if name not in NAMES:
            raise UserError(f"unknown prompt template '{name}'{nearest(name, NAMES)}")
        has_chat = bool(getattr(tokenizer, "chat_template", None))
        if name == "chat" and not has_chat:
            raise UserError("this tokenizer has no chat template; use the prompt template 'plain'")
        if not 0 <= shots <= len(SHOTS):
            raise UserError(f"there are {len(SHOTS)} worked examples, not {shots}")
        self.examples = examples(shots)
        self.tokenizer = tokenizer
        self.chat = has_chat if name == "auto" else name == "chat"
        self.system = system

    def render(self, question: str) -> str:
        """The prompt as text."""
        if not self.chat:
            return self.examples + PLAIN.format(question=question)
        messages = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.examples + question},
        ]
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )

    def encode(self, question: str) -> list[int]:
        """The prompt as token ids, with the special tokens the model expects."""
        return self.tokenizer.encode(self.render(question), add_special_tokens=not self.chat)

    def encode_target(self, solution: str) -> list[int]:
        """A worked solution as the token ids that follow the prompt, closed by end of sequence."""
        lead = "" if self.chat else " "
        ids = self.tokenizer.encode(lead + solution.strip(), add_special_tokens=False)
        return [*ids, self.tokenizer.eos_token_id]
