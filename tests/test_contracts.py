"""The arrows between the rooms point one way."""

import subprocess
import sys
from pathlib import Path

from tests.fork_server import ROOT


def test_import_contracts_are_kept():
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "3 kept, 0 broken" in done.stdout
