"""Check: paste an answer and the correct one, and see how the verdict comes about."""

from typing import Any

import gradio as gr

from app.html import badge, code
from app.messages import page_messages
from app.reasons import RULES
from app.values import MAX_COMPLETION, text
from rewards import Verdict, check

MAX_REFERENCE = 2_000  # characters
EXAMPLES = [
    [r"First $\boxed{3}$, no: $\boxed{\frac{1}{2}}$", "0.5"],
    [r"The answer is 5 or 6.", "5"],
    [r"\boxed{x \in (1, 5]}", r"1 < x \le 5"],
    [r"\boxed{1+\frac{1}{e}}", r"1-\frac{1}{e}"],
]


def check_tab() -> None:
    """The fields, and the stages below them."""
    gr.HTML("<p>Which part of an answer counts, how is it read, and is it the correct one?</p>")
    with gr.Row():
        completion = gr.Textbox(
            label="The whole answer", lines=4, max_lines=12, elem_id="check-completion", scale=3
        )
        gold = gr.Textbox(label="Correct answer", elem_id="check-gold", scale=1)
    ask = gr.Button("Check", variant="primary", elem_id="check-ask")
    stages = gr.HTML(elem_id="check-stages")
    gr.on([ask.click, gold.submit], explain, [completion, gold], stages,
          api_visibility="private", show_progress="minimal")  # fmt: skip
    gr.Examples(EXAMPLES, [completion, gold], label="Examples")


def explain(completion: Any, gold: Any) -> str:
    """The verdict on an answer, stage by stage, as HTML."""
    with page_messages():
        completion = text(completion, "the answer", MAX_COMPLETION)
        gold = text(gold, "the correct answer", MAX_REFERENCE)
        if not completion.strip() or not gold.strip():
            return "<p>Give an answer and the correct one first.</p>"
        return stages_html(check(completion, gold), check(rf"\boxed{{{gold}}}", gold), completion)


def stages_html(verdict: Verdict, gold: Verdict, completion: str) -> str:
    """Which text counts, how both were read, which rule decided, and why."""
    rule = verdict.reason.partition(": ")[2]
    found = verdict.extracted
    stages = [
        (
            "1. Which text is the answer?",
            _where(completion, found, RULES.get(verdict.rule, verdict.rule)),
        ),
        ("2. How is it read?", code(verdict.read_as or found or "not at all")),
        ("3. How is the correct answer read?", code(gold.read_as or gold.extracted or "—")),
        (
            "4. Are they equal?",
            f"{badge(verdict.reward)} {code(rule or verdict.reason)}"
            f' <span class="why">in {1000 * verdict.seconds:.1f} ms</span>',
        ),
    ]
    items = "".join(f"<li><b>{name}</b>{what}</li>" for name, what in stages)
    return f'<ol class="stages">{items}</ol>'


def _where(completion: str, found: str | None, why: str) -> str:
    """The answer marked in its text."""
    if found is None:
        return f"None was found ({code(why)})"
    at = completion.rfind(found)
    if at < 0:
        return f"<b>{code(found)}</b> ({code(why)})"
    before, after = completion[max(0, at - 200) : at], completion[at + len(found) :][:200]
    return (
        f'<div class="diff">{code(before)}<mark>{code(found)}</mark>{code(after)}</div>'
        f'<span class="why">found by: {code(why)}</span>'
    )
