"""`python -m train.demo [tiny | smollm2]`: the whole story on a bare CPU.

A start is made by supervised fine-tuning, trained by GRPO, and measured before and after on
held-out problems. `tiny` is a model of our own, made from nothing; `smollm2` a real pretrained one,
which learns the form of the answers first. What an earlier demo left in `runs/` is used again.
"""

from pathlib import Path

from common.errors import OneLineParser, run_command
from train.story import STORIES


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m train.demo", description="The whole story on a CPU.")
    parser.add_argument("story", nargs="?", choices=STORIES, default="tiny", help="which model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", default="runs", help="where the start and the run are kept")
    options = parser.parse_args(argv)
    from train.walkthrough import walk_through  # heavy imports only once there is something to do

    walk_through(STORIES[options.story], options.seed, Path(options.runs))


if __name__ == "__main__":
    run_command(main)
