"""The stories that the demo can tell: what each trains, and how it is measured."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Story:
    """What one demo trains and how it is measured."""

    title: str
    model: str | None  # fetched by this name; None: a new one, made by the fine-tuning
    sft: str  # configurations
    grpo: str
    start: str  # names in runs/
    run: str
    heldout: str
    samples: int
    max_tokens: int
    ks: tuple[int, ...] = (1, 8)


STORIES = {
    "tiny": Story(
        "A tiny base model, trained from scratch on worked solutions with slips",
        model=None,
        sft="quickstart/base",
        grpo="quickstart/grpo",
        start="base",
        run="quickstart",
        heldout="synth:heldout,n=500",
        samples=16,
        max_tokens=80,
    ),
    "smollm2": Story(
        "SmolLM2-135M-Instruct, shown a few worked solutions with slips",
        model="smollm2",
        sft="smollm2/sft",
        grpo="smollm2/grpo",
        start="smollm2-sft",
        run="smollm2",
        heldout="synth:heldout,n=120,levels=1-2",
        samples=8,
        max_tokens=64,
    ),
}
