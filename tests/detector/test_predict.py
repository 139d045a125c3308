"""`leanet predict`: whatever files are called, and whatever they are, each is named and none is lost."""

import csv
import io
import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from leanet.core.errors import InputError
from leanet.detector import predict
from leanet.detector.detector import Judged
from leanet.detector.reading import find
from leanet.images.reading import read

NAMES = [
    b"caf\xe9.png",
    b"line\nbreak\r.png",
    "\x1b[2J\x9b.png".encode(),
    b"=cmd|' C calc'!A0.png",
    b"<img src=x onerror=alert(1)>.png",
    b'comma, "quote";.png',
    b"l" * 251 + b".png",
    "葉 10.00\u202fAM.png".encode(),
]


class Blind:
    """In place of a detector: reads images as one does, and finds nothing in them."""

    threshold, doubts = SimpleNamespace(summary="blind"), ()

    def stream(self, files, prevalence):
        for batch in read(files, 8, 3):
            faults = [image if isinstance(image, InputError) else None for image in batch]
            zeros = np.zeros((faults.count(None), 8, 8), np.float32)
            scores = zeros[:, 0, 0]
            yield Judged(zeros, scores, scores > 0, zeros, None, zeros[:, 0], zeros[:, 0, :4]), faults

    def drift(self, new):
        return []


@pytest.fixture
def judged(monkeypatch, capsys):
    """Runs `predict`; its status, and what it printed."""
    monkeypatch.setattr(predict.Detector, "load", lambda *_: Blind())
    options = {"detector": "", "device": "cpu", "criterion": None, "prevalence": None, "fail_on_anomaly": False}

    def run(*named: str | Path, layout: str = "jsonl", overlays: Path | None = None) -> tuple[int, str, str]:
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        status = predict.predict(list(map(str, named)), layout=layout, overlays=overlays, out=out, **options)
        return status, out.buffer.getvalue().decode(), capsys.readouterr().err

    return run


def drawn(file: Path | bytes, value: int = 0) -> Path:
    file = Path(os.fsdecode(file))
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as stream:
        Image.new("RGB", (8, 8), (value, value, value)).save(stream, "PNG")
    return file


@pytest.fixture
def folder(tmp_path) -> Path:
    """Images of all NAMES, and one that is none."""
    for name in NAMES:
        drawn(os.fsencode(tmp_path / "in") + b"/" + name)
    (tmp_path / "in/text\x1b.png").write_text("no image")
    return tmp_path / "in"


def test_lines_of_json_have_the_names_as_they_are(judged, folder):
    status, out, _ = judged(folder)
    lines = [json.loads(line) for line in out.splitlines()]
    assert out.isascii()
    assert sorted(os.fsencode(Path(line["file"]).name) for line in lines) == sorted([*NAMES, b"text\x1b.png"])
    (wrong,) = (line for line in lines if "error" in line)
    assert wrong["error"].startswith("cannot be decoded as an image (no JPEG")
    assert status == 3


def test_a_table_obeys_no_name(judged, folder):
    _, out, err = judged(folder, layout="table")
    assert len(out.splitlines()) == 1 + len(NAMES)
    for said in (out, err):
        assert all(letter == "\n" or letter >= " " for letter in said)
        assert "\x9b" not in said
    assert r"/caf\udce9.png" in out
    assert r"/line\nbreak\r.png" in out
    assert rf"{folder}/text\x1b.png: cannot be decoded" in err


def test_a_spreadsheet_runs_no_name(judged, folder, monkeypatch):
    monkeypatch.chdir(folder)
    _, out, _ = judged("=cmd|' C calc'!A0.png", *sorted(folder.iterdir()), layout="csv")
    lines = list(csv.DictReader(io.StringIO(out, newline="")))
    assert len(lines) == 2 + len(NAMES)
    assert lines[0]["file"] == "./=cmd|' C calc'!A0.png"
    assert out.count("\n") == 3 + len(NAMES)
    assert "\r" not in out
    assert f'{folder}/comma, "quote";.png' in {line["file"] for line in lines}


def test_only_regular_files_are_opened(judged, tmp_path):
    """What else there is would be waited for, as a pipe without a writer, or has no end."""
    good = drawn(tmp_path / "good.png")
    os.mkfifo(tmp_path / "f.png")
    (tmp_path / "folder.png").mkdir()
    writer = os.open(tmp_path / "f.png", os.O_RDWR)
    patience = threading.Timer(30, os.close, [writer])  # who waits for the pipe gets its end
    patience.start()
    named = [tmp_path / "f.png", "/dev/zero", tmp_path / "folder.png", good, "n" * 300 + ".png"]
    # A folder that is named is not one of them.
    status, out, _ = judged(*(file for file in named if file != tmp_path / "folder.png"), tmp_path)
    patience.cancel()
    if patience.finished.is_set():
        os.close(writer)
    said = {line["file"]: line.get("error", "") for line in map(json.loads, out.splitlines())}
    assert "it is no regular file" in said[str(tmp_path / "f.png")]
    assert "it is no regular file" in said["/dev/zero"]
    assert "Is a directory" in said[str(tmp_path / "folder.png")]
    assert said["n" * 300 + ".png"] == "no such file"
    assert said[str(good)] == ""
    assert status == 3


def test_a_list_names_files_of_any_name():
    assert find(["-"], io.BytesIO(b"caf\xe9.png\nnext\xc2\x85line.png\r\n\n")) == [
        Path("caf\udce9.png"),
        Path("next\x85line.png"),
    ]
    with pytest.raises(InputError, match="-: expected a path a line, but there is a NUL character"):
        find(["-"], io.BytesIO(b"a.png\0b.png\0"))


def test_overlays_have_any_name(judged, folder):
    status, *_ = judged(folder, overlays=folder.parent / "seen")
    assert status == 3
    seen = os.listdir(os.fsencode(folder.parent / "seen"))
    assert len(seen) == len(NAMES)
    assert {name.removesuffix(b"-map.png") for name in seen} >= {name for name in NAMES if len(name) < 200}


def test_overlays_stay_within_their_folder_and_none_takes_anothers_place(judged, tmp_path, monkeypatch):
    """Whatever way leads to the images: .., links to folders, long names that begin alike."""
    own = tmp_path / "own"
    long = "l" * 240
    for at, name in enumerate(("up/x/a.png", "own/a.png", "other/deep/b.png", "other/b.png")):
        drawn(tmp_path / name, at)
    named = [drawn(own / f"{long}{end}.png") for end in "xy"]
    monkeypatch.chdir(own)
    Path("link").symlink_to(tmp_path / "other/deep")
    before = {file for file in tmp_path.rglob("*")}
    named += ["../up/x/a.png", "a.png", "link/b.png", "link/../b.png", "../up/x/../../own/a.png"]
    judged(*named, overlays=Path("seen"))
    new = [file for file in tmp_path.rglob("*") if file.is_file() and file not in before]
    assert all(file.is_relative_to(own / "seen") for file in new)
    assert len(new) == 6  # the last is a.png once more
