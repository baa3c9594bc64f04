"""How the app is started: by the command line or a file, and what cannot work said in one line."""

import socket
import tomllib

import pytest

from app.__main__ import main
from app.options import parser, read_config, read_options
from common.errors import UserError
from tests.fork_server import ROOT, command


@pytest.fixture
def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--host", "0.0.0.0"), "give --auth"),
        (("--auth", "nobody"), "USER:PASSWORD"),
        (("--port", "0"), "between 1 and 65535"),
        (("--runs", f"{ROOT}/pyproject.toml"), "is a file"),
        (("--runs", "nowhere"), "no such folder"),
        (("--data", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--results", "nowhere"), "no such folder"),
        (("--adapter", "nowhere"), "no such folder"),
        (("--adapter", f"{ROOT}/tests"), "holds no adapter"),
        (("--adapter", "no_base"), "does not say which base"),
        (("--config", "nowhere.toml"), "No such file"),
    ],
)
def test_what_cannot_work_is_said_before_the_app_starts(words, answer, port, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no_base").mkdir()
    (tmp_path / "no_base" / "adapter_config.json").write_text("{}")
    (tmp_path / "no_base" / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=answer):
        main(["--port", port, *words])


def test_an_address_in_use_is_said_before_the_app_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="choose another --port"):
            main(["--port", str(taken.getsockname()[1])])


def test_what_cannot_work_is_one_line_and_no_traceback():
    done = command("app", "--runs", ROOT / "pyproject.toml")
    assert done.returncode == 2
    assert "is a file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_names_the_models_and_the_command_line_comes_first(port, tmp_path):
    file = tmp_path / "app.toml"
    file.write_text(
        f'model = ["a", "b"]\nservers = "http://127.0.0.1:9"\nport = {port}\nno-browser = true\n'
    )
    options = read_options(["--config", str(file)])
    assert (options.model, options.servers) == (["a", "b"], ["http://127.0.0.1:9"])
    assert (options.port, options.no_browser) == (int(port), True)
    options = read_options(["--config", str(file), "--model", "c"])
    assert (options.model, options.port) == (["c"], int(port))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("model = 5", "model must be a list of texts"),
        ("model = [5]", "model must be a list of texts"),
        ('port = "7860"', "port must be a number"),
        ("port = true", "port must be a number"),
        ("no_browser = 1", "no_browser must be true or false"),
        ("data = []", "data must be a text"),
        ('modle = "x"', "no setting 'modle' here .did you mean 'model'"),
        ('[model]\npath = "x"', "a run's own configuration is found by --runs"),
        ("model = ", "not valid TOML"),
        ("help = true", "no setting 'help'"),
    ],
)
def test_a_file_with_a_mistake_is_told_by_key(text, answer, tmp_path):
    (tmp_path / "app.toml").write_text(text)
    with pytest.raises(UserError, match=answer):
        read_config(tmp_path / "app.toml", parser())


def test_every_option_can_stand_in_a_file(tmp_path):
    """The example of the docs, and each option under its own name."""
    docs = (ROOT / "docs" / "app.md").read_text(encoding="utf-8")
    example = docs.split("```toml\n")[1].split("```")[0]
    assert set(tomllib.loads(example)) <= {a.dest for a in parser()._actions}
    (tmp_path / "app.toml").write_text(example)
    assert read_config(tmp_path / "app.toml", parser())
