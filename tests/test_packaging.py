"""What is built and installed is the whole project, and says what it needs."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fork_server import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = PROJECT["tool"]["importlinter"]["root_packages"]
KEPT_OUT = {"tests", "benchmarks", "examples", "docs"}


def away() -> dict[str, str]:
    """The environment without the checkout on the path, which would stand in for the wheel."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the sources."""
    source = tmp_path_factory.mktemp("wheel") / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ROOT.iterdir():  # whatever discovery would see, the folders it must not take too
        if (folder / "__init__.py").is_file() or folder.name in KEPT_OUT:
            shutil.copytree(folder, source / folder.name)
    out = source.parent / "dist"
    words = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", out]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, source], capture_output=True, text=True, env=away()
    )
    assert done.returncode == 0, done.stderr
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel) -> Path:
    """The scripts of an environment with the wheel alone, and with sight of our libraries."""
    home = wheel.parent / "venv"
    venv.create(home, symlinks=True)
    words = ["--python", home, "install", "--quiet", "--no-deps", "--no-index", wheel]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words], capture_output=True, text=True, env=away()
    )
    assert done.returncode == 0, done.stderr
    [site] = home.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_the_wheel_holds_every_room_whole_and_nothing_else(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {Path(name).parts[0] for name in held} == {*ROOMS, "configs"}
    sources = {
        str(file.relative_to(ROOT))
        for room in (*ROOMS, "configs")
        for file in (ROOT / room).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert held == sources


def test_the_installed_command_plans_a_bundled_run_from_another_folder(installed, base, tmp_path):
    words = [installed / "mathgrpo", "train", "quickstart/grpo", "--model.path", base, "--dry-run"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, env=away(), timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "170 steps of 32 × 8 completions" in done.stdout
    assert not any(tmp_path.iterdir())
    where = "import train.algorithms.grpo as module; print(module.__file__)"
    done = subprocess.run(
        [installed / "python", "-c", where],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=away(),
    )
    assert Path(done.stdout).is_relative_to(installed.parent), "not the installed code was tried"


def test_every_library_that_is_imported_is_declared():
    project = PROJECT["project"]
    needs = {_name(text) for text in project["dependencies"]}
    optional = {k: {_name(t) for t in v} for k, v in project["optional-dependencies"].items()}
    # vLLM, tasks, 4-bit weights and trackers are asked for by users who have them.
    extras = [optional[name] for name in ("cpu", "gpu", "tasks", "qlora")]
    backends = {"wandb", "trackio"}.union(*extras)
    assert _missing(ROOMS, needs | backends) == set()
    assert _missing(["tests"], needs | backends | optional["dev"]) == set()


def _missing(folders: list[str], declared: set[str]) -> set[str]:
    """The modules imported somewhere in the folders that no declared distribution brings."""
    owners = importlib.metadata.packages_distributions()
    return {
        module
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        for module in _imported(file)
        if module not in {*sys.stdlib_module_names, *ROOMS, "tests", "benchmarks"}
        and not declared & {_name(owner) for owner in owners.get(module, [module])}
    }


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _name(requirement: str) -> str:
    """The distribution that a requirement names, spelt as packaging spells it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()
