"""The configurations that come with mathgrpo, found by name from any folder."""

from pathlib import Path

from common.errors import UserError, nearest

FOLDER = Path(__file__).parents[2] / "configs"  # in the repository, and in the installed package


def find_config(path: str | Path) -> Path:
    """The file at `path`, or the bundled configuration of that name such as `quickstart/grpo`.

    Raises UserError for a name that none of them has; a path ending in .toml is never a name.
    """
    file = Path(path)
    if file.suffix == ".toml" or file.exists():
        return file
    known = bundled_names()
    if str(path) in known:
        return FOLDER / f"{path}.toml"
    hint = nearest(str(path), known) or f"; those that come with mathgrpo: {', '.join(known)}"
    raise UserError(f"{path}: no such configuration{hint}")


def bundled_names() -> list[str]:
    """The names of the bundled configurations."""
    return sorted(str(f.relative_to(FOLDER).with_suffix("")) for f in FOLDER.rglob("*.toml"))
