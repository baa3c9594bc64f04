"""`python -m train.export ADAPTER --out DIR`: base and adapter as one model, with its card."""

from pathlib import Path

from common.errors import OneLineParser, run_command
from common.files import check_replaceable


def main(argv: list[str]) -> None:
    parser = OneLineParser(
        prog="python -m train.export",
        description="Merge base and adapter into one model that loads anywhere, with a model card.",
    )
    parser.add_argument("adapter", help="an adapter folder, such as runs/NAME/checkpoints/step_…")
    parser.add_argument("--out", required=True, help="the folder to write")
    parser.add_argument("--base", help="the base model; else the one the adapter was trained on")
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=["auto", "float32", "bfloat16", "float16"],
        help="of the weights written; auto: the base's own",
    )
    parser.add_argument(
        "--results",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="two results of mathgrpo eval for the card; else those of the adapter's run",
    )
    parser.add_argument("--push", metavar="REPO", help="and upload it to the hub, as OWNER/NAME")
    parser.add_argument("--private", action="store_true", help="where --push creates REPO")
    options = parser.parse_args(argv)
    from models.fit import refuse_unfit  # heavy imports only once the words are known good
    from train.merged import CONTENTS, base_of, create_repo, export, origin_of, push

    adapter = Path(options.adapter)
    check_replaceable(options.out, CONTENTS)
    base = options.base or base_of(adapter)
    refuse_unfit(adapter, base)
    origin = origin_of(adapter, options.results)
    if options.push:
        create_repo(options.push, private=options.private)
    out = export(adapter, base, Path(options.out), origin, dtype=options.dtype, name=options.push)
    print(f"wrote {out}")
    if options.push:
        print(f"pushed to {push(out, options.push)}")


if __name__ == "__main__":
    run_command(main)
