"""`python -m train.sft CONFIG.toml`: supervised fine-tuning on worked solutions."""

from pathlib import Path

from common.errors import OneLineParser, UserError, run_command
from train.config import SftConfig, load_config


def main(argv: list[str]) -> None:
    parser = OneLineParser(
        prog="python -m train.sft",
        description="Supervised fine-tuning on worked solutions.",
        epilog="Settings are overridden as --section.key value.",
    )
    parser.add_argument("config", help="a TOML file, such as configs/quickstart/base.toml")
    options, overrides = parser.parse_known_args(argv)
    config = load_config(SftConfig, options.config, overrides)
    if Path(config.run.out).exists() and not Path(config.run.out).is_dir():
        raise UserError(f"{config.run.out} exists and is no folder")
    from train.supervised import run_sft  # heavy imports only once the configuration is known good

    print(f"wrote {run_sft(config)}")


if __name__ == "__main__":
    run_command(main)
