"""The layouts of a set's folder: what is read, and what is named when it does not fit."""

import tracemalloc

import pytest
from conftest import TINY
from PIL import Image

from leanet.core.errors import InputError
from leanet.core.text import printable
from leanet.images import layout
from leanet.images.layout import Item
from leanet.images.settings import Dataset, Split
from leanet.images.sources import check, fetch


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name, "PNG")
    return root


def test_class_folders_may_be_deep_and_in_any_case_with_masks_of_the_same_path(tmp_path):
    root = touch(
        tmp_path / "set",
        "positive/b/1.png",
        "positive/a/1.JPG",
        "Negative/日本 語.png",
        "Mask/a/1.png",
        "Mask/日本 語.png",
        "positive/__MACOSX/1.png",
        "positive/._1.png",
    )
    (root / "positive/notes.txt").write_text("no image")
    assert layout.read(root) == [
        Item("Negative/日本 語.png", 0),
        Item("positive/a/1.JPG", 1, mask="Mask/a/1.png"),
        Item("positive/b/1.png", 1),
    ]


def test_a_tree_like_mvtec_is_read_as_the_paper_counts_it(tmp_path):
    root = touch(
        tmp_path / "tile",
        "train/good/000.png",
        "test/good/000.png",
        "test/crack/000.png",
        "test/oil/000.png",
        "ground_truth/crack/000_mask.png",
    )
    assert layout.read(root) == [
        Item("test/crack/000.png", 1, mask="ground_truth/crack/000_mask.png"),
        Item("test/good/000.png", 0),
        Item("test/oil/000.png", 1),
        Item("train/good/000.png", 0),
    ]


def test_a_table_gives_labels_groups_and_masks(tmp_path):
    root = touch(tmp_path / "set", "x 1.png", "deep/y,2.png", "z.png", "m.png")
    (root / "images.csv").write_text(
        'path,label,group,mask\nx 1.png,normal,plate 7,\n"deep/y,2.png",1,plate 7,m.png\nz.png,0,,\n'
    )
    assert layout.read(root) == [
        Item("deep/y,2.png", 1, "plate 7", "m.png"),
        Item("x 1.png", 0, "plate 7"),
        Item("z.png", 0),
    ]


@pytest.mark.parametrize("kind", ["classes", "mvtec", "table"])
def test_what_is_fetched_reads_as_its_source(tmp_path, kind):
    names = {
        "classes": ["Positive/1.png", "Negative/2.png", "Mask/1.png"],
        "mvtec": ["train/good/1.png", "test/hole/1.png", "ground_truth/hole/1_mask.png"],
        "table": ["a.png", "b.png", "c.png"],
    }[kind]
    root = touch(tmp_path / "set", *names)
    if kind == "table":
        (root / "images.csv").write_text("path,label,mask\na.png,1,c.png\nb.png,0,\n")
    (tmp_path / "to").mkdir()
    fetch(root, tmp_path / "to")
    assert layout.read(tmp_path / "to") == layout.read(root)
    assert len(layout.read(root)) == 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("path,klass\na.png,1\n", "has the columns path, klass; expected path, label"),
        ("path,label\na.png,bad\n", "line 2: label is 'bad', expected 0 or normal, 1 or anomalous"),
        ("path,label\na.png,1\n../a.png,0\n", "line 3: path is '../a.png', expected a path below the folder"),
        ("path,label\n/a.png,1\n", "line 2: path is '/a.png', expected a path below the folder"),
        ("path,label\nnone.png,1\n", "line 2: path is 'none.png', which is not there"),
        ("path,label\na.png,1\na.png,0\n", "a.png is there twice"),
        ("path,label\n,1\n", "line 2: path is empty"),
        ("path,label,mask\na.png,1,gone.png\n", "line 2: mask is 'gone.png', which is not there"),
        ("path,label\na.png,1\n", "no normal image; expected some"),
        ('path,label\n"a.png,1\n', "cannot be read as a CSV file"),
        ("", "cannot be read as a CSV file (it is empty)"),
        ("path,label\na.png,1,plate 7\nb.png,0\n", "images.csv: line 2: more fields than the 2 columns"),
        ("path,label\n\na.png,1,,\nb.png,0,x\n", "images.csv: line 4: more fields than the 2 columns"),
        ("path,label\na.png\n", "line 2: label is '', expected 0 or normal"),
        ("path,label,label\na.png,1,0\n", "has the columns path, label, label; expected path, label"),
        ("path,label\n" + "a" * 300 + ".png,1\n", "aaa', expected names of at most 255 bytes"),
        ("path,label\n" + "d/" * 3000 + "a.png,1\n", "d/d', which is not there"),
        ("path,label\na\0.png,1\n", r"path is 'a\x00.png', which is not there"),
        ("path,label\na.png,1\n./a.png,0\n", "a.png is there twice"),
        ("path," + "c" * 9000 + "\n", "ccc; expected path, label"),
    ],
)
def test_a_table_that_does_not_fit_is_one_line(tmp_path, table, said):
    root = touch(tmp_path / "set", "a.png", "b.png")
    (root / "images.csv").write_text(table)
    with pytest.raises(InputError) as error:
        layout.read(root)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_path_that_a_spreadsheet_would_run_becomes_one_that_it_does_not(tmp_path, capsys):
    root = touch(tmp_path / "set", "=cmd|' C calc'!A0.png", "-1.png", "b/=2.png")
    (root / "images.csv").write_text("path,label\n=cmd|' C calc'!A0.png,1\n-1.png,0\n.//b/=2.png,0\n")
    named = [Item("./-1.png", 0), Item("./=cmd|' C calc'!A0.png", 1), Item("b/=2.png", 0)]
    assert layout.read(root) == named
    (tmp_path / "to").mkdir()
    fetch(root, tmp_path / "to")
    assert layout.read(tmp_path / "to") == named
    assert "left aside" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["caf\udce9.png", "line\nbreak.png", "\x1b[2J.png", "a\x85.png", "a\u202egnp.png"]
)
@pytest.mark.parametrize("kind", ["Positive/{}", "Negative/{}", "Mask/{}", "Object/Positive/{}", "{}"])
def test_a_name_that_some_program_would_not_take_is_refused_before_anything_is_copied(tmp_path, kind, name):
    root = touch(tmp_path / "set", f"Positive/{name}" if "/" in kind else "Positive/1.png", "Negative/1.png")
    touch(root, kind.format(name))
    if "/" not in kind:
        (root / "images.csv").write_text(
            f'path,label\nNegative/1.png,0\n"{name}",1\n', errors="surrogateescape", newline=""
        )
    (tmp_path / "to").mkdir()
    with pytest.raises(InputError) as error:
        fetch(root, tmp_path / "to")
    said = "images.csv: cannot be read" if kind == "{}" and "caf" in name else printable(name)
    assert said in str(error.value)
    assert printable(str(error.value)) == str(error.value)
    assert not list((tmp_path / "to").iterdir())


def test_what_is_left_aside_steers_no_terminal(tmp_path, capsys):
    root = touch(tmp_path / "set", "Positive/1.png", "Negative/2.png", "\x1b[2J\udcff")
    (root / "Positive/linked").symlink_to(root / "Negative")
    (tmp_path / "to").mkdir()
    fetch(root, tmp_path / "to")
    said = capsys.readouterr().err
    assert r"no image of the set: \x1b[2J\udcff; Positive/linked" in said


@pytest.mark.parametrize("link", ["Negative", "Negative/deep", "Negative/2.png", "Mask", "images.csv", "a/b.png"])
def test_a_link_that_leads_out_of_the_folder_is_named(tmp_path, link):
    """Private files would come to be in DVC's cache and in the report."""
    root = touch(tmp_path / "set", "Positive/1.png", "Negative/2.png", "Negative/deep/3.png", "Mask/1.png")
    touch(root, "a/b.png")
    table = "path,label\nNegative/deep/3.png,0\na/b.png,1\n"
    if link in ("images.csv", "a/b.png", "Negative/deep"):
        (root / "images.csv").write_text(table)
    (tmp_path / "elsewhere").mkdir()
    outside = (root / link).rename(tmp_path / "elsewhere/it")
    (root / link).symlink_to(outside)
    (tmp_path / "to").mkdir()
    split = Split(**TINY["split"])
    for asked in (lambda: fetch(root, tmp_path / "to"), lambda: check(Dataset(str(root), None, None), split)):
        with pytest.raises(InputError) as error:
            asked()
        assert str(error.value) == (
            f"{root}/{link}: a link that leads out of {root}, to {outside}; put there what it leads to"
        )
    assert not list((tmp_path / "to").iterdir())


def test_a_link_within_the_folder_and_the_folder_as_a_link_are_read(tmp_path):
    root = touch(tmp_path / "set", "Positive/1.png", "normal/2.png", "normal/3.png")
    (root / "Negative").symlink_to("normal")
    (root / "Positive/4.png").symlink_to("1.png")
    (tmp_path / "linked").symlink_to(root)
    (tmp_path / "to").mkdir()
    fetch(tmp_path / "linked", tmp_path / "to")
    assert len(layout.read(tmp_path / "to")) == 4
    assert not [file for file in (tmp_path / "to").rglob("*") if file.is_symlink()]


def test_a_table_may_come_from_a_spreadsheet(tmp_path):
    root = touch(tmp_path / "set", "a, b.png", "c.png")
    (root / "images.csv").write_text("path;label\na, b.png;1\nc.png;0\n", encoding="utf-8-sig")
    assert layout.read(root) == [Item("a, b.png", 1), Item("c.png", 0)]


def test_what_is_left_aside_is_named(tmp_path, capsys):
    root = touch(tmp_path / "set", "Positive/1.png", "Negative/2.png", "Positive/3", "notes.txt")
    (tmp_path / "to").mkdir()
    fetch(root, tmp_path / "to")
    assert "left aside, as no image of the set: Positive/3; notes.txt" in capsys.readouterr().err


def test_many_mistakes_are_counted_not_listed(tmp_path):
    (tmp_path / "images.csv").write_text("path,label\n" + "".join(f"{i}.png,1\n" for i in range(40)))
    with pytest.raises(InputError, match=r"line 2: .*line 6: .*; and 35 more"):
        layout.read(tmp_path)


def test_an_image_takes_little_memory_while_a_folder_is_read(tmp_path):
    for name in layout.CLASSES:
        (tmp_path / name / "below").mkdir(parents=True)
        for i in range(2000):
            (tmp_path / name / "below" / f"{i:06}.jpg").touch()
    tracemalloc.start()
    try:
        assert len(layout.read(tmp_path)) == 4000
        assert tracemalloc.get_traced_memory()[1] < 450 * 4000
    finally:
        tracemalloc.stop()
