"""The log of a review: nothing said is lost, and nothing half said is read."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from leanet.core.errors import InputError
from leanet.review.log import Log, Said, agreed, standing

SAID = Said("2026-11-01T10:00:00Z", "anna", "a/ä 1.png", "f" * 64, "normal", "random", "abc", 0.25, 0.5)


def test_what_is_said_is_read_in_its_order(tmp_path):
    log = Log(tmp_path / "deep/labels.jsonl")
    assert log.read() == []
    said = [
        SAID,
        replace(SAID, label=None),
        replace(SAID, who="bo\n", place=[[[0.1, 0.2], [0.3, 0.4], [0.1, 0.4]]]),
    ]
    for each in said:
        log.add(each)
    assert log.read() == said
    assert [each.called for each in (SAID, replace(SAID, score=0.51), replace(SAID, score=0.5))] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("left", [1, 20, -2, -1])
def test_what_a_kill_left_of_a_line_is_none_and_the_next_line_is_whole(tmp_path, left):
    file = tmp_path / "labels.jsonl"
    log = Log(file)
    log.add(SAID)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:left])
    last = replace(SAID, who="bo")
    log.add(last)
    both = [SAID, SAID] if left == -1 else [SAID]  # all but the line's end: nothing is missing
    assert log.read() == [*both, last]


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path, monkeypatch):
    log = Log(tmp_path / "labels.jsonl")
    log.add(SAID)
    before = log.file.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        log.add(replace(SAID, who="bo"))
    assert log.file.read_bytes() == before


def test_other_lines_are_refused_by_their_number(tmp_path):
    log = Log(tmp_path / "labels.jsonl")
    right = SAID.__dict__
    wrongs = {
        "label": ["maybe", [], {}],
        "file": ["../a.png", "/a.png", 1],
        "score": ["a", 2, None, True],
        "place": [[[[0, 0], [1, 0]]], [[[0, 0], [1, 0], [2, 0]]], 1, ["a"], [["abc", "abc", "abc"]]],
        "image": [None],
    }
    for wrong in ({"a": 1}, [1], *(right | {name: value} for name, values in wrongs.items() for value in values)):
        log.file.write_text(json.dumps(right) + "\n" + json.dumps(wrong) + "\n")
        with pytest.raises(InputError, match="line 2 is no line of a review"):
            log.read()


def _say(file: Path, who: str) -> None:
    log = Log(file)
    for at in range(1000):
        log.add(replace(SAID, who=who, image=f"{at:064}"))


def test_several_at_once_and_one_killed_lose_nothing_that_was_told(tmp_path):
    file = tmp_path / "labels.jsonl"
    spawn = multiprocessing.get_context("spawn")
    people = [spawn.Process(target=_say, args=(file, who)) for who in ("anna", "bo", "cleo")]
    for each in people:
        each.start()
    while not file.exists() or file.read_bytes().count(b"cleo") < 20:
        assert people[2].is_alive()
    os.kill(people[2].pid, signal.SIGKILL)
    for each in people:
        each.join()
    by = {who: [said.image for said in Log(file).read() if said.who == who] for who in ("anna", "bo", "cleo")}
    every = [f"{at:064}" for at in range(1000)]
    assert by["anna"] == by["bo"] == every
    assert len(by["cleo"]) >= 20
    assert by["cleo"] == every[: len(by["cleo"])]


def test_who_says_something_else_later_is_believed_and_who_differs_is_disputed():
    later = replace(SAID, label="anomalous", at="2026-11-01T10:00:05Z")
    bo = replace(SAID, who="bo", at="2026-11-01T10:00:03Z")
    assert standing([SAID, later]) == {SAID.image: {"anna": later}}
    assert agreed({"anna": later}) == later
    assert agreed(standing([SAID, later, bo])[SAID.image]) is None
    assert agreed(standing([SAID, bo])[SAID.image]) == bo
    assert standing([SAID, replace(SAID, label=None)]) == {}
    assert standing([SAID, bo, replace(SAID, label=None)]) == {SAID.image: {"bo": bo}}
