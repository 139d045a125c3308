"""Files and folders that are there whole or not at all, and one copy of them on the disk."""

import os
import shutil
from pathlib import Path

import pytest

from leanet.core import files, paths
from leanet.run import disk


class KilledError(BaseException):
    """As kill -9: nothing after it runs."""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("result")


def write(folder: Path, text: str) -> None:
    with files.whole(folder) as part:
        for name in ("a", "b"):
            (part / name).write_text(text)


def test_a_folder_takes_the_place_of_the_one_before(folder):
    write(folder, "old")
    write(folder, "new")
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"a": "new", "b": "new"}
    assert [place.name for place in Path().iterdir()] == ["result"]


def test_what_fails_leaves_the_folder_before(folder):
    write(folder, "old")

    def half() -> None:
        with files.whole(folder) as part:
            (part / "a").write_text("new")
            raise KilledError

    with pytest.raises(KilledError):
        half()
    assert (folder / "a").read_text() == "old"
    assert [place.name for place in Path().iterdir()] == ["result"]


@pytest.mark.parametrize("step", range(1, 30))
def test_killed_at_any_step_there_is_never_half_a_folder(folder, monkeypatch, step):
    """Each call that changes the disk may be the last; so may each file that is removed."""
    write(folder, "old")
    steps = 0

    def counted(call):
        def run(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps >= step:
                raise KilledError
            return call(*args, **kwargs)

        return run

    def remove_slowly(place: Path, ignore_errors: bool = False) -> None:
        for file in sorted(place.rglob("*")):
            counted(os.unlink)(file)
        if place.exists():
            counted(os.rmdir)(place)

    with monkeypatch.context() as killing:
        killing.setattr(shutil, "rmtree", remove_slowly)
        killing.setattr(Path, "rename", counted(Path.rename))
        killed = False
        try:
            write(folder, "new")
        except KilledError:
            killed = True
    if folder.exists():
        assert {file.name for file in folder.iterdir()} == {"a", "b"}
        assert len({file.read_text() for file in folder.iterdir()}) == 1
    else:
        assert killed
    write(folder, "newest")  # whatever lies about
    assert {file.read_text() for file in folder.iterdir()} == {"newest"}
    assert [place.name for place in Path().iterdir()] == ["result"]


def test_equal_files_share_the_disk_and_others_stay(folder):
    for name, text in (("one", "same"), ("two", "same"), ("other", "else"), ("longer", "longer")):
        Path(name).write_text(text)
    for copy in ("two", "other", "longer"):
        files.share(Path(copy), Path("one"))
    assert Path("two").samefile("one")
    assert not Path("other").samefile("one")
    assert (Path("other").read_text(), Path("longer").read_text()) == ("else", "longer")
    Path("two").unlink()
    assert Path("one").read_text() == "same"


def test_where_there_are_no_links_copies_stay(folder, monkeypatch):
    for name in ("one", "two"):
        Path(name).write_text("same")

    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    files.share(Path("two"), Path("one"))
    assert Path("two").read_text() == "same"
    assert sorted(place.name for place in Path().iterdir()) == ["one", "two"]


def test_kept_weights_and_models_are_the_files_of_results(folder):
    detector, models = paths.DETECTOR, Path("mlruns/models/m")
    holding = {
        "colouriser": [paths.unet("leaf") / "fold0.safetensors", paths.KEPT / "u.weights.safetensors"]
        + [place / "unet0.safetensors" for place in (detector, models)],
        "network": [paths.KEPT / "n.weights.safetensors"]
        + [place / "network0.safetensors" for place in (detector, models)],
    }
    for weights, places in holding.items():
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(weights)
    disk.share(Path("mlruns"))
    for weights, places in holding.items():
        assert all(place.samefile(places[0]) for place in places)
        assert places[0].read_text() == weights
