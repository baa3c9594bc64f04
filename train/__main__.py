"""`python -m train CONFIG.toml`: train a policy, by GRPO unless told otherwise."""

from common import ranks
from common.errors import OneLineParser, run_command
from train.config import TrainConfig, load_config


def main(argv: list[str]) -> None:
    parser = OneLineParser(
        prog="python -m train",
        description="Train a policy on verifiable problems, by GRPO unless told otherwise.",
        epilog="Settings are given as --section.key value, e.g. --sampling.backend vllm; "
        "--help lists them all.",
        add_help=False,
    )
    parser.add_argument(
        "config", nargs="?", help="a TOML file, or one that comes with mathgrpo: quickstart/grpo"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in run.dir")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the plan and the memory needed"
    )
    parser.add_argument("-h", "--help", action="store_true", help="this, with every setting")
    options, overrides = parser.parse_known_args(argv)
    if options.help:
        parser.print_help()
        from train.config.help import print_settings

        print_settings(TrainConfig)
        return
    config = load_config(TrainConfig, parser.required(options.config, "CONFIG.toml"), overrides)
    if options.dry_run:
        from train.plan import show_plan

        show_plan(config)
        return
    from train.records.folder import was_begun
    from train.run import Run, train  # heavy imports only once the configuration is known good

    with ranks.joined():
        resume = options.resume or (ranks.restarted() and was_begun(config.run.dir))
        train(Run(config, resume=resume))


if __name__ == "__main__":
    run_command(main)
