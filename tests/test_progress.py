"""Progress where stderr is a log: lines now and then, from the first rank alone."""

import re

import common.progress
from common.progress import progress_bar


def say(capsys) -> list[str]:
    """What three steps and an advance leave on stderr."""
    with progress_bar() as progress:
        task = progress.add_task("evaluating", total=4, note="")
        for done in (1, 2, 3):
            progress.update(task, completed=done, note=f"right {done / 10:.1%}")
        progress.advance(task)
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(common.progress, "LINE_EVERY", 0.0)
    lines = say(capsys)
    assert len(lines) == 4
    assert re.fullmatch(r"evaluating 2/4  0:00:00 gone, (\?|0:00:0\d) left  right 20.0%", lines[1])
    assert lines[3].startswith("evaluating 4/4  ")


def test_what_takes_no_time_leaves_no_line(capsys):
    assert say(capsys) == []


def test_only_the_first_rank_speaks(capsys, monkeypatch):
    monkeypatch.setattr(common.progress, "LINE_EVERY", 0.0)
    monkeypatch.setenv("RANK", "1")
    assert say(capsys) == []
