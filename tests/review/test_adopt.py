"""From a log of labels to images.csv: what is taken, what is left, and nothing by halves."""

import csv
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Project
from PIL import Image

from leanet import cli
from leanet.core import files
from leanet.images import decoding, layout
from leanet.review import adopt
from leanet.review.log import NAME, Log, Said

SAID = Said("2026-11-01T10:00:00Z", "anna", "", "", "normal", "random", "abc", 0.25, 0.5)


def image(file: Path, seed: int, size: tuple[int, int] = (40, 30)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def root(tmp_path) -> Path:
    """A data set of three normal images and an anomalous one."""
    for seed in range(3):
        image(tmp_path / f"parts/Negative/{seed}.png", seed)
    image(tmp_path / "parts/Positive/3.png", 3)
    return tmp_path / "parts"


@pytest.fixture
def new(tmp_path) -> Path:
    """A folder of new images, of which none is said anything of."""
    for seed in range(10, 16):
        image(tmp_path / f"new/plate {seed % 2}/{seed}.png", seed)
    return tmp_path / "new"


def say(folder: Path, *words: tuple[str, str | None], who: str = "anna", **more) -> Log:
    log = Log(folder / NAME)
    for file, label in words:
        at = f"2026-11-01T10:00:{len(log.read()):02d}Z"
        log.add(replace(SAID, at=at, who=who, file=file, image=files.sha256(folder / file), label=label, **more))
    return log


def table(root: Path) -> list[dict]:
    with (root / layout.TABLE).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_new_images_are_copied_and_listed_behind_what_the_folders_say(root, new):
    log = say(new, ("plate 0/10.png", "normal"), ("plate 1/11.png", "anomalous"), ("plate 0/12.png", "unsure"))
    planned = adopt.plan(log, new, root)
    before = sorted(root.rglob("*"))
    said = planned.text
    assert "reviewed/" in said
    assert "new: 1 anomalous, 1 normal;" in said
    assert "images.csv is made anew" in said
    assert "images that are unsure: 1; left out" in said
    assert sorted(root.rglob("*")) == before  # told, not done
    adopt.do(planned)
    items = layout.read_own(root)
    assert [(item.path.split("-")[-1], item.label) for item in items] == [
        ("Negative/0.png", 0),
        ("Negative/1.png", 0),
        ("Negative/2.png", 0),
        ("Positive/3.png", 1),
        *sorted(
            [("10.png", 0), ("11.png", 1)],
            key=lambda each: files.sha256(new / f"plate {int(each[0][1])}/{each[0]}"),
        ),
    ]
    assert {files.sha256(root / item.path) for item in items} >= {files.sha256(new / "plate 0/10.png")}
    # Again, there is nothing to do.
    again = adopt.plan(log, new, root)
    assert not again.changes
    assert "is in the data set already" in again.text


def test_what_lies_in_the_data_set_stays_where_it_is(root):
    image(root / "new/20.png", 20)
    log = say(root / "new", ("20.png", "anomalous"))
    planned = adopt.plan(log, root / "new", root)
    assert not planned.copies
    adopt.do(planned)
    assert [row["path"] for row in table(root)] == [f"Negative/{i}.png" for i in range(3)] + [
        "Positive/3.png",
        "new/20.png",
    ]


def test_groups_masks_objects_and_boxes_of_a_table_are_kept_and_folders_may_be_groups(root, new):
    shutil.move(root / "Positive/3.png", root / "a.png")
    shutil.move(root / "Negative/0.png", root / "b.png")
    image(root / "m.png", 5)
    (root / layout.TABLE).write_text(
        "path;label;group;mask;object;box\na.png;1;leaf 1;m.png;;1 2 30 20\nb.png;good;leaf 2;;m.png;\n"
    )
    before = {item.path: item for item in layout.read_own(root)}
    log = say(new, ("plate 0/10.png", "normal"), ("plate 0/12.png", "anomalous"))
    adopt.do(adopt.plan(log, new, root, group_by_folder=True))
    after = {item.path: item for item in layout.read_own(root)}
    assert {path: after[path] for path in before} == before
    assert {item.group for path, item in after.items() if path not in before} == {"new/plate 0"}


def test_the_place_becomes_a_mask(root, new):
    place = [[(0.5, 0), (1, 0), (1, 1), (0.5, 1)]]
    log = say(new, ("plate 1/11.png", "anomalous"), place=place)
    adopt.do(adopt.plan(log, new, root))
    (item,) = (item for item in layout.read_own(root) if item.mask)
    mask = decoding.decode_mask(root / item.mask, 32)
    np.testing.assert_array_equal(mask, np.arange(32)[None].repeat(32, 0) >= 16)


def test_contradictions_are_named_and_nothing_is_done(root, new):
    shutil.copy(root / "Negative/1.png", new / "copy.png")
    say(new, ("plate 0/10.png", "normal"), ("plate 1/11.png", "anomalous"), ("copy.png", "anomalous"))
    log = say(new, ("plate 1/11.png", "normal"), who="bo")
    planned = adopt.plan(log, new, root)
    assert planned.contradictions == [
        "copy.png: anna says anomalous, but the data set has the same image as Negative/1.png, normal: "
        f"`leanet review {root}` and `leanet adopt {root}` change that",
        "plate 1/11.png: anna says anomalous, bo says normal",
    ]
    before = sorted(root.rglob("*"))
    with pytest.raises(Exception, match="nothing was changed"):
        adopt.do(planned)
    assert sorted(root.rglob("*")) == before
    # What the same person says last counts.
    say(new, ("plate 1/11.png", "anomalous"), who="bo")
    assert len(adopt.plan(log, new, root).contradictions) == 1


def test_what_is_gone_or_changed_is_left_out_and_what_was_moved_is_found(root, new):
    log = say(new, *((f"plate {seed % 2}/{seed}.png", "normal") for seed in range(10, 14)))
    (new / "plate 0/10.png").unlink()
    image(new / "plate 1/11.png", 99)
    (new / "elsewhere").mkdir()
    shutil.move(new / "plate 0/12.png", new / "elsewhere/x.png")
    planned = adopt.plan(log, new, root)
    gone = "is gone, or has changed since anna saw it; left out"
    assert planned.left == [f"plate 0/10.png: {gone}", f"plate 1/11.png: {gone}"]
    assert [item.path.partition("-")[2] for item in planned.added] == ["12.png", "13.png"]
    assert set(planned.copies) == {new / "elsewhere/x.png", new / "plate 1/13.png"}


def test_a_label_of_the_data_set_itself_is_changed_where_it_is(root):
    log = say(root, ("Negative/1.png", "anomalous"), ("Negative/2.png", "normal"))
    planned = adopt.plan(log, root, root)
    assert "Negative/1.png: normal becomes anomalous (anna, 2026-11-01)" in planned.text
    assert (planned.added, planned.copies) == ([], {})
    adopt.do(planned)
    assert {item.path: item.label for item in layout.read_own(root)}["Negative/1.png"] == 1


@pytest.mark.parametrize("fails_at", ["copy", "mask", "table"])
def test_a_full_disk_leaves_the_data_set_as_it_was_and_the_next_call_ends_it(root, new, monkeypatch, fails_at):
    place = [[(0, 0), (1, 0), (1, 1)]]
    log = say(new, ("plate 1/11.png", "anomalous"), ("plate 1/13.png", "anomalous"), place=place)
    items = layout.read_own(root)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        what = {"copy": (adopt.shutil, "copyfile"), "mask": (adopt, "_mask"), "table": (files, "write")}[fails_at]
        patch.setattr(*what, full)
        with pytest.raises(OSError, match="No space"):
            adopt.do(adopt.plan(log, new, root))
    assert layout.read_own(root) == items
    planned = adopt.plan(log, new, root)
    assert len(planned.copies) == (2 if fails_at == "copy" else 0)
    adopt.do(planned)
    assert len(layout.read_own(root)) == 6


def run(monkeypatch, *arguments: object) -> str | int | None:
    monkeypatch.setattr(sys, "argv", ["leanet", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code


def test_the_command_tells_what_it_would_do_and_does_it_when_told(tiny: Project, root, new, monkeypatch, capsys):
    assert "expected a folder of your own" in run(monkeypatch, "adopt", new)
    tiny.edit("datasets.leaf.source", str(root))
    assert run(monkeypatch, "adopt", "nwe") == "leanet: nwe: expected a folder that was looked through"
    assert (
        run(monkeypatch, "adopt", new)
        == f"leanet: {new / NAME}: there are no labels; leanet review {new} makes some"
    )
    say(new, ("plate 1/11.png", "anomalous"))
    assert run(monkeypatch, "adopt", new) == (
        "leanet: nothing was changed, since nobody is there to ask; --yes does it"
    )
    assert not (root / layout.TABLE).exists()
    tiny.edit("datasets.leaf.negatives", 3)
    assert run(monkeypatch, "adopt", new, "--yes") is None
    assert "note: params.yaml draws 3 negatives of it; null takes all" in capsys.readouterr().out
    assert len(table(root)) == 5
    assert run(monkeypatch, "adopt", new, "--yes") is None
    assert capsys.readouterr().out.endswith("nothing is to be changed\n")
    say(new, ("plate 1/11.png", "normal"), who="bo")
    assert "contradictions: 1; nothing was changed" in run(monkeypatch, "adopt", new, "--yes")
    assert "contradiction: plate 1/11.png: anna says anomalous, bo says normal" in capsys.readouterr().err
    assert "expected one of leaf" in run(monkeypatch, "adopt", new, "--dataset", "wood")
    (new / NAME).write_text('{"a": 1}\n')
    assert "line 1 is no line of a review" in run(monkeypatch, "adopt", new)
