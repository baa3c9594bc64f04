"""One console command, `mathgrpo`, for the commands of all rooms."""

import subprocess
import sys

import pytest

from common.console import COMMANDS

CALL = "from common.console import main; main()"  # what the installed script does


def mathgrpo(*words: str, cwd=None) -> subprocess.CompletedProcess:
    """Run the console command from source, in a folder of one's choice."""
    return subprocess.run(
        [sys.executable, "-c", CALL, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_commands_are_listed_each_with_a_line(words):
    done = mathgrpo(*words)
    assert done.returncode == 0
    for name, command in COMMANDS.items():
        assert f"  {name:<8}{command.summary}\n" in done.stdout


@pytest.mark.parametrize("words", [(), ("sft",), ("eval",), ("serve",), ("app",), ("demo",)])
def test_help_comes_before_anything_heavy_is_imported(words):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", CALL, *words, "--help"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "common.console" in imported
    assert not imported & {"torch", "transformers", "vllm", "pandas", "gradio"}


def test_a_mistyped_command_is_told_the_nearest():
    done = mathgrpo("trian")
    assert done.returncode == 2
    assert done.stderr == "error: unknown command 'trian' (did you mean 'train'?)\n"
    done = mathgrpo("xyz")
    assert done.returncode == 2
    assert done.stderr == "error: unknown command 'xyz'; mathgrpo --help lists the commands\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_the_command_as_it_was_called(name):
    done = mathgrpo(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: mathgrpo {name} ")
    assert "python -m" not in done.stdout.split("\n\n")[0]


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (("eval", "compare", "--help"), "usage: mathgrpo eval compare "),
        (("eval", "overlap", "--help"), "usage: mathgrpo eval overlap "),
        (("data", "synth", "--help"), "usage: mathgrpo data synth "),
    ],
)
def test_the_help_of_a_second_word_names_both(words, usage):
    done = mathgrpo(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(usage)


def test_a_module_called_by_its_own_name_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "sampling", "serve", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage: python -m sampling serve ")


def test_a_mistake_is_one_line_here_too(tmp_path):
    done = mathgrpo("eval", "--model", "x", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "mathgrpo eval --help" in done.stderr


def test_a_command_does_its_work_from_any_folder(tmp_path):
    done = mathgrpo("check", "--gold", "7", "--completion", "so #### 7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"reward": 1' in done.stdout
    done = mathgrpo("data", "synth", "--n", "3", "--out", "three.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "three.jsonl").read_text().splitlines()) == 3


def test_a_bundled_configuration_is_found_by_name_and_a_wrong_name_by_its_nearest(tmp_path):
    done = mathgrpo("train", "quickstart/grpo", "--model.path", "./none", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "./none" in done.stderr  # the configuration was found and read; its model was not
    done = mathgrpo("train", "quickstart/grop", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "quickstart/grop: no such configuration (did you mean 'quickstart/grpo'?)" in done.stderr
