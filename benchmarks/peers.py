"""The peers we measure against, in an environment of their own; not run by itself.

`.venv-peers` sees every package of the environment it is made from and adds the peers, in the
versions of the extra `peers` in pyproject.toml: both sides run on the same torch and transformers,
and nothing of a peer is ever installed beside the project.
"""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".venv-peers"
PYTHON = FOLDER / "bin" / "python"


def requirement(name: str) -> str:
    """What pyproject.toml asks of a peer, such as `trl==1.16.0`."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    [found] = [one for one in extras["peers"] if re.split(r"[=<>\[ ]", one)[0] == name]
    return found


def version(name: str) -> str:
    """The version of a peer that pyproject.toml asks for."""
    return requirement(name).partition("==")[2]


def installed(name: str) -> bool:
    """Whether the peers' environment has the version that is asked for."""
    info = f"{name.replace('-', '_')}-{version(name)}.dist-info"
    return PYTHON.exists() and any(FOLDER.glob(f"lib/python*/site-packages/{info}"))


def peers_python(*names: str) -> str:
    """The Python that has these peers; made, or completed, where it is not there yet."""
    if not PYTHON.exists():
        print(f"making {FOLDER.name} (a quarter of a minute) …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        [own] = FOLDER.glob("lib/python*/site-packages")
        (own / "project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    for name in names:
        if not installed(name):
            wanted = requirement(name)
            print(f"installing {wanted} into {FOLDER.name} …", file=sys.stderr, flush=True)
            pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
            done = subprocess.run([*pip, wanted], stderr=subprocess.PIPE, text=True)
            if done.returncode or not installed(name):
                sys.exit(f"error: {wanted} cannot be installed: {done.stderr.strip()[-300:]}")
    return str(PYTHON)


def use_peers(*names: str) -> None:
    """Go on in the peers' environment: the same command begins again there."""
    if Path(sys.prefix).resolve() == FOLDER.resolve():
        return
    os.execv(peers_python(*names), [str(PYTHON), *sys.argv])
