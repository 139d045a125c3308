"""Images that are unlike all that a detector knows are put aside for a review."""

import sys
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from serving import inside, written

from leanet import cli
from leanet.core import paths
from leanet.detector import aside
from leanet.detector.aside import Aside, least_likeness
from leanet.detector.detector import Detector
from leanet.detector.predict import predict


def test_the_least_likeness_is_that_of_the_loneliest_known_image():
    draw = np.random.default_rng(0)
    features = draw.normal(size=(40, 8))
    features /= np.linalg.norm(features, axis=1)[:, None]
    features[1] = features[0]
    apart, together = np.arange(40), np.array([0, 0, *range(2, 40)])
    for groups in (apart, together):
        nearest = [max(features[i] @ features[j] for j in range(40) if groups[i] != groups[j]) for i in range(40)]
        assert least_likeness(features.copy(), groups) == pytest.approx(min(nearest))
        assert (max(nearest) > 0.999) == (groups is apart)


@pytest.fixture
def detector(attending, monkeypatch) -> Detector:
    """One to which dark images alone are alike."""
    monkeypatch.setattr(Detector, "unlike", lambda self, features: self.bright)
    judge = Detector._judge

    def judged(self, batch, prevalence):
        found, faults = judge(self, batch, prevalence)
        self.bright = found.images.mean(axis=(1, 2, 3)) > 128
        return found, faults

    monkeypatch.setattr(Detector, "_judge", judged)
    return Detector.load(attending.root / paths.DETECTOR, "cpu")


def images(folder: Path, *grey: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = []
    for at, level in enumerate(grey):
        files.append(folder / f"{at} =x.png")
        Image.fromarray(np.full((48, 48, 3), level, np.uint8)).save(files[-1])
    return files


def run(monkeypatch, *arguments: object) -> object:
    monkeypatch.setattr(sys, "argv", ["leanet", *map(str, arguments)])
    monkeypatch.setitem(predict.__kwdefaults__, "out", sys.stdout)  # that of this test
    try:
        cli.main()
    except SystemExit as end:
        return end.code


def test_predict_keeps_what_is_unlike_each_once_up_to_a_limit(detector, attending, tmp_path, monkeypatch, capsys):
    files = images(tmp_path / "new", 10, 200, 201, 20, 202, 200)
    kept = tmp_path / "deep/kept"
    call = ("predict", tmp_path / "new", "--detector", attending.root / paths.DETECTOR, "--keep", kept)
    assert run(monkeypatch, *call, "--keep-most", 2) == 0
    assert "4 images are unlike what the detector knows; 2 of them are new" in capsys.readouterr().err
    assert {file.read_bytes() for file in kept.iterdir()} == {file.read_bytes() for file in files[1:3]}
    assert run(monkeypatch, *call) == 0
    assert "; 1 of them are new" in capsys.readouterr().err
    assert len(list(kept.glob("*.png"))) == 3
    for wrong, said in (
        (("--keep-most", 0), "--keep-most 0: expected a number of at least 1"),
        (("--keep", files[0]), "no folder can be made there"),
    ):
        assert said in run(monkeypatch, *call, *wrong)
    assert run(monkeypatch, *call[:-2], "--keep-most", 3) == "leanet: --keep-most needs --keep FOLDER"


def test_serve_keeps_it_under_a_name_of_its_own(detector, tmp_path):
    bright = written(np.full((48, 48, 3), 220, np.uint8), "JPEG")
    with inside(detector, aside=Aside(tmp_path / "kept")) as address:
        form = [
            ("image", ("../../away.png", bright)),
            ("image", ("dark.png", written(np.zeros((48, 48, 3), np.uint8)))),
        ]
        assert requests.post(f"{address}/api/predict", files=form, timeout=60).ok
        assert requests.post(f"{address}/api/predict", data=bright, timeout=60).ok
    (file,) = (tmp_path / "kept").iterdir()
    assert (file.read_bytes(), file.suffix) == (bright, ".jpg")


def test_a_full_disk_is_told_once_and_judging_goes_on(tmp_path, monkeypatch, capsys):
    put = Aside(tmp_path / "kept")

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(aside.files, "whole_file", full)
        for level in (1, 2):
            put.put(written(np.full((8, 8, 3), level, np.uint8)))
    assert capsys.readouterr().err.count("nothing more is put aside (No space left on device)") == 1
    assert "2 images are unlike what the detector knows; 0 of them" in str(put)


def test_its_own_images_are_alike_and_others_are_not(attending):
    detector = Detector.load(attending.root / paths.DETECTOR, "cpu")
    own = detector.known["embeddings"].astype(np.float32)
    assert not detector.unlike(own).any()
    assert detector.unlike(-own).all()
