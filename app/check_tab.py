"""Check: paste an answer and a gold, and see how the verdict comes about."""

import gradio as gr

from app.text import badge, code
from rewards import check
from rewards.extract import extract
from rewards.reading import read

EXAMPLES = [
    [r"First $\boxed{3}$, no: $\boxed{\frac{1}{2}}$", "0.5"],
    [r"The answer is 5 or 6.", "5"],
    [r"\boxed{x \in (1, 5]}", r"1 < x \le 5"],
    [r"\boxed{1+\frac{1}{e}}", r"1-\frac{1}{e}"],
]


def check_tab() -> None:
    """The fields, and the steps below them."""
    gr.Markdown("Which part of a completion counts as its answer, and does it equal the gold?")
    completion = gr.Textbox(
        label="Completion", lines=4, max_length=20_000, elem_id="check-completion"
    )
    gold = gr.Textbox(label="Gold", max_length=2_000, elem_id="check-gold")
    ask = gr.Button("Check", variant="primary", elem_id="check-ask")
    steps = gr.HTML(elem_id="check-steps")
    gr.on([ask.click, gold.submit], explain, [completion, gold], steps, api_visibility="private")
    gr.Examples(EXAMPLES, [completion, gold], label="Examples")


def explain(completion: str, gold: str) -> str:
    """The verdict on a completion, step by step, as HTML."""
    if not completion.strip():
        return "<p>Paste a completion and its gold first.</p>"
    if not gold.strip():
        return badge(None, None, "")
    verdict = check(completion, gold)
    found = extract(completion)
    rows = [
        ("which answer counts", f"rule: {found.rule}"),
        ("found", verdict.extracted or "nothing"),
        ("read as", verdict.read_as or "–"),
        ("the gold is read as", read(gold).text),
        ("decided by", verdict.reason),
        ("time", f"{1000 * verdict.seconds:.1f} ms"),
    ]
    body = "".join(f"<tr><th>{name}</th><td>{code(text)}</td></tr>" for name, text in rows)
    shown = badge(verdict.reward, verdict.extracted, verdict.reason)
    return f'<p>{shown}</p><table class="votes">{body}</table>'
