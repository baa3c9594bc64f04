"""What holds for the house as a whole, whatever lies in the checkout."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fork_server import ROOT, command
from train.config.renamed import RENAMED, SECTIONS

LIST = "import os; print(os.getcwd(), sorted(os.listdir()))"


def test_no_test_and_no_command_of_a_test_starts_where_the_users_runs_are():
    assert not Path("runs").exists()
    assert not Path.cwd().is_relative_to(ROOT)
    there = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True).stdout
    assert there.split()[0] == str(Path.cwd())
    done = command("eval", "compare", "README.md", "pyproject.toml")  # as the fork server sees them
    assert done.returncode == 2
    assert "README.md" in done.stderr
    word = "cwd=" + "ROOT"
    there = {file.name for file in (ROOT / "tests").glob("*.py") if word in file.read_text()}
    assert there == {"test_contracts.py"}, "lint-imports alone is run in the checkout"


def test_the_changelog_gives_every_renamed_key_its_new_place():
    """A row names a section with keys, or a section and `all else`, and where they are now."""
    rows = re.findall(r"^  \| (`\[.*?) \| `(.*?)` \|$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    told = {}
    for left, place in rows:
        names, keys = re.findall(r"`\[(\w+)\]`", left), re.sub(r"`\[\w+\]`,?", "", left)
        for name in names:
            for key in filter(None, map(str.strip, keys.split(","))):
                section = re.fullmatch(r"\[(.*)\]", place)
                told[f"{name}.{key}"] = f"{section[1]}.{key}" if section else place
            if not keys.strip() or "all else" in keys:
                told[name] = place.strip("[]")
    assert {key: told.get(key) for key in RENAMED} == RENAMED
    whole = {name: place for name, place in SECTIONS.items() if name != "grpo"}
    assert {name: told.get(name) for name in whole} == whole


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"])
def test_what_a_stranger_looks_for_first_is_there(name):
    assert (ROOT / name).read_text().strip()


def test_the_hosted_checks_and_ours_call_targets_that_there_are():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for file in (".github/workflows/ci.yml", ".ci/run", "CONTRIBUTING.md", "README.md"):
        called = set(re.findall(r"make ([a-z-]+)", (ROOT / file).read_text()))
        assert called, file
        assert called <= targets, f"{file}: {called - targets}"
    for file in (".github/workflows/ci.yml", ".ci/run"):
        assert {"lint", "test", "test-long"} <= set(
            re.findall(r"make ([a-z-]+)", (ROOT / file).read_text())
        )


def test_no_file_is_over_300_lines_and_no_function_over_60_but_the_pages_builders():
    files = [f for f in ROOT.glob("*/**/*.py") if not f.relative_to(ROOT).parts[0].startswith(".")]
    assert len(files) > 200
    for file in files:
        text = file.read_text()
        assert text.count("\n") <= 300, file
        exempt = any(
            map(file.match, ("app/*_tab.py", "app/api.py", "tests/*.py", "benchmarks/*.py"))
        )
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not exempt:
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 60, f"{file}: {node.name}"
