"""`mathgrpo COMMAND …`: one name for the commands of all rooms.

`mathgrpo train …` is `python -m train …`: the room is found by its name when it is asked for, so
that the list of commands takes no time, and this floor imports none of the rooms above it.
"""

import os
import runpy
import sys
from typing import NamedTuple

from common.errors import UserError, nearest, run_command

NAME = "mathgrpo"


class Command(NamedTuple):
    """What a word of the command line runs, and the line that `--help` prints about it."""

    module: str
    summary: str
    word: str = ""  # what the module itself wants to hear first


COMMANDS = {
    "train": Command("train", "train a policy by GRPO, or by another algorithm"),
    "sft": Command("train.sft", "supervised fine-tuning on worked solutions"),
    "eval": Command("eval", "measure pass@k; also: eval compare A B, eval overlap TRAIN EVAL"),
    "check": Command("rewards", "check completions against reference answers"),
    "serve": Command("sampling", "serve a model to samplers on this or other machines", "serve"),
    "data": Command("data", "write or look at problem sets"),
    "models": Command("models", "fetch a small pretrained model, with or without a hub"),
    "export": Command("train.export", "merge base and adapter into one model, with its card"),
    "app": Command("app", "compare models and look at runs in the browser"),
    "demo": Command("train.demo", "the whole story on a CPU: base, GRPO, before and after"),
}


def main() -> None:
    """The console command."""
    run_command(dispatch)


def dispatch(argv: list[str]) -> None:
    """Run the command that `argv` names; raises UserError where it names none."""
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return
    name, *words = argv
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS) or f"; {NAME} --help lists the commands"
        raise UserError(f"unknown command '{name}'{hint}")
    command = COMMANDS[name]
    # `OneLineParser` shows this name in place of `python -m MODULE`.
    sys.argv = [NAME if command.word else f"{NAME} {name}", *filter(None, [command.word]), *words]
    sys.path.append(os.getcwd())  # as with `python -m`: a reward or algorithm of the user's own
    runpy.run_module(command.module, run_name="__main__")


def overview() -> str:
    """What `mathgrpo --help` prints."""
    lines = [f"  {name:<8}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {NAME} COMMAND …",
            "",
            "Teach language models mathematics by reinforcement learning with verifiable rewards.",
            "",
            *lines,
            "",
            f"{NAME} COMMAND --help says all about one of them.",
        ]
    )


if __name__ == "__main__":
    main()
