"""`python -m train.sft CONFIG.toml`: supervised fine-tuning on worked solutions."""

from pathlib import Path

from common.errors import OneLineParser, UserError, run_command
from train.config import SftConfig, load_config


def main(argv: list[str]) -> None:
    parser = OneLineParser(
        prog="python -m train.sft",
        description="Supervised fine-tuning on worked solutions.",
        epilog="Settings are given as --section.key value; --help lists them all.",
        add_help=False,
    )
    parser.add_argument(
        "config", nargs="?", help="a TOML file, or one that comes with mathgrpo: quickstart/base"
    )
    parser.add_argument("-h", "--help", action="store_true", help="this, with every setting")
    options, overrides = parser.parse_known_args(argv)
    if options.help:
        parser.print_help()
        from train.config.help import print_settings

        print_settings(SftConfig)
        return
    config = load_config(SftConfig, parser.required(options.config, "CONFIG.toml"), overrides)
    if Path(config.run.out).exists() and not Path(config.run.out).is_dir():
        raise UserError(f"{config.run.out} exists and is no folder")
    from train.supervised import run_sft  # heavy imports only once the configuration is known good

    print(f"wrote {run_sft(config)}")


if __name__ == "__main__":
    run_command(main)
