"""`python -m train CONFIG.toml`: train a policy by GRPO."""

from common.errors import OneLineParser, run_command
from train.config import TrainConfig, load_config


def main(argv: list[str]) -> None:
    parser = OneLineParser(
        prog="python -m train",
        description="Train a policy by GRPO on verifiable problems.",
        epilog="Settings are overridden as --section.key value, e.g. --sampler.backend vllm.",
    )
    parser.add_argument("config", help="a TOML file, such as configs/quickstart/grpo.toml")
    parser.add_argument("--resume", action="store_true", help="continue the run in run.dir")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the plan and the memory needed"
    )
    options, overrides = parser.parse_known_args(argv)
    config = load_config(TrainConfig, options.config, overrides)

    if options.dry_run:
        from train.plan import show_plan

        show_plan(config)
        return
    from train.run import TrainRun  # heavy imports only once the configuration is known good

    TrainRun(config, resume=options.resume).train()


if __name__ == "__main__":
    run_command(main)
