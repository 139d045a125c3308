import io
import sys

from leanet.core import progress
from leanet.core.progress import Progress


def test_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with Progress(6, "train") as bar:
        for i in range(6):
            bar.step(fold=0, loss=i)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train: 3/6, 12 s left, fold 0, loss 2"
    assert lines[-1] == "train: 6/6, 0 s left, fold 0, loss 5"
    assert len(lines) == 2


def test_where_nobody_knows_the_number_of_steps_they_are_counted(capsys, monkeypatch):
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with Progress(None, "download") as bar:
        for _ in range(6):
            bar.step()
    assert capsys.readouterr().err.splitlines() == ["download: 3", "download: 6"]


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(2, "train") as bar:
        bar.step()
        bar.step(loss="0.5")
    assert "train: 100%" in terminal.getvalue()
    assert "loss=0.5" in terminal.getvalue()
