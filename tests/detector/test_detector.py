"""The packaged detector: what it says is what its parts said, and what it is given may be anything."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leanet import cli as command_line
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector.criterion import Criterion
from leanet.detector.detector import Detector
from leanet.detector.reading import find
from leanet.images import imageset


@pytest.fixture(scope="module", params=["attending", "ensemble"])
def detector(request) -> Detector:
    """A light one, and an ensemble."""
    return Detector.load(request.getfixturevalue(request.param).root / paths.DETECTOR, "cpu")


@pytest.fixture(scope="module")
def data(finished) -> imageset.ImageSet:
    return imageset.load(finished.root / paths.split("leaf"))


@pytest.mark.parametrize("project", ["attending", "ensemble"])
def test_what_is_damaged_or_missing_is_one_line(project, request, tmp_path):
    with pytest.raises(InputError, match="no detector there; --detector names its folder"):
        Detector.load(tmp_path)
    packaged = request.getfixturevalue(project).root / paths.DETECTOR
    names = [file.name for file in packaged.iterdir() if file.suffix in (".onnx", ".safetensors")]
    assert len(names) == {"attending": 2, "ensemble": 5}[project]
    for name in names:
        copy = tmp_path / name / "detector"
        shutil.copytree(packaged, copy)
        content = bytearray((copy / name).read_bytes())
        content[-5] ^= 1
        (copy / name).unlink()
        (copy / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is missing or damaged"):
            Detector.load(copy)


def test_a_folder_may_be_called_as_an_address_is(attending, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(attending.root / paths.DETECTOR, "a:/b")
    assert Detector.load("a:/b", "cpu").facts["row"] == "cnn-direct"


def test_a_device_that_is_not_there_is_one_line(attending):
    with pytest.raises(InputError, match="device is mps, but onnxruntime here has only"):
        Detector.load(attending.root / paths.DETECTOR, "mps")


def test_any_kind_of_image_is_judged_alike(detector, data, tmp_path):
    pixels = data.images[0]
    file = tmp_path / "leaf.png"
    Image.fromarray(pixels).save(file)
    for image in (file, str(file), file.read_bytes(), Image.open(file), pixels):
        np.testing.assert_array_equal(detector.predict([image]).scores, detector.predict(data.images[:1]).scores)
    large = Image.fromarray(pixels).resize((90, 50))
    judged = detector.predict([large, np.asarray(large)])
    assert judged.scores[0] == judged.scores[1]
    assert judged.maps.shape == (2, 32, 32)


def test_batches_change_nothing(detector, data):
    images = data.images[:]
    both = [
        detector.predict(images).scores,
        np.concatenate([detector.predict(images[i : i + 1]).scores for i in range(len(images))]),
    ]
    np.testing.assert_allclose(*both, atol=1e-5)
    assert detector.predict([]).scores.shape == (0,)


def test_another_prevalence_moves_scores_and_no_label(detector, data):
    usual, rare = detector.predict(data.images[:]), detector.predict(data.images[:], prevalence=0.001)
    assert (rare.scores < usual.scores).all()
    np.testing.assert_array_equal(rare.labels, usual.labels)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), b"no image", Path("not/there.png")]
)
def test_what_is_no_image_is_one_line(detector, image):
    with pytest.raises(InputError, match=r"^(image 1|not/there.png): "):
        detector.predict([np.zeros((8, 8, 3), np.uint8), image])


def test_one_image_that_is_no_list_is_said(detector):
    with pytest.raises(InputError, match=r"expected a list of images, not one alone: predict\(\[image\]\)"):
        detector.predict("leaf.png")


@pytest.fixture
def folder(tmp_path, data) -> Path:
    """Two good images and two that are none."""
    root = tmp_path / "images"
    (root / "deeper").mkdir(parents=True)
    Image.fromarray(data.images[0]).save(root / "a.png")
    Image.fromarray(data.images[1]).save(root / "deeper/b.jpg")
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:200])
    (root / "text.png").write_text("hello")
    (root / "._a.png").write_bytes(b"\0\5\x16\7")  # which a Mac puts beside a.png
    return root


def judged(project, *arguments: str, **environment: str):
    return project.run("python", "-m", "leanet", "predict", *arguments, **environment)


def test_a_broken_image_is_reported_and_the_rest_goes_on(attending, folder):
    done = judged(attending, str(folder), "--format", "csv", "--overlays", str(folder.parent / "seen"))
    lines = {Path(line["file"]).name: line for line in csv.DictReader(io.StringIO(done.stdout))}
    assert lines.keys() == {"a.png", "b.jpg", "broken.png", "text.png"}
    assert "damaged or cut off" in lines["broken.png"]["error"]
    assert "no JPEG, PNG" in lines["text.png"]["error"]
    assert 0 <= float(lines["a.png"]["score"]) <= 1
    assert "2 images judged" in done.stderr
    assert done.returncode == 3
    seen = {
        file.relative_to(folder.parent / "seen").as_posix() for file in (folder.parent / "seen").rglob("*.png")
    }
    assert seen == {f"{name}-{kind}.png" for name in ("a.png", "deeper/b.jpg") for kind in ("map", "attention")}


def test_a_terminal_may_have_few_letters(attending, folder):
    shutil.copy(folder / "a.png", folder / "Blätter 葉.png")
    done = judged(attending, str(folder / "Blätter 葉.png"), PYTHONIOENCODING="ascii")
    assert r"Bl\xe4tter \u8449.png" in done.stdout
    assert done.returncode == 0


def test_who_reads_no_further_is_no_error(attending, folder):
    command = "python -m leanet predict images/a.png --format jsonl | true"
    done = attending.run("bash", "-c", command.replace("images", str(folder)))
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_exit_statuses_and_json_lines(attending, folder):
    detector = Detector.load(attending.root / paths.DETECTOR, "cpu")
    good = [str(folder / "a.png"), str(folder / "deeper/b.jpg")]
    scores = detector.predict(good).scores
    plain = judged(attending, *good, "--format", "jsonl")
    assert plain.returncode == 0
    assert [json.loads(line)["score"] for line in plain.stdout.splitlines()] == pytest.approx(scores, abs=1e-3)
    missed = judged(attending, str(folder), "--criterion", "recall 0.99", "--fail-on-anomaly", "--format", "jsonl")
    anomalous = any(json.loads(line).get("anomalous") for line in missed.stdout.splitlines())
    assert missed.returncode == (4 if anomalous else 3)
    nothing = judged(attending, str(folder / "*.bmp"))
    assert (nothing.returncode, nothing.stderr) == (1, f"leanet: {folder}/*.bmp: no file fits this pattern\n")
    at = detector.threshold_for(Criterion("recall", 0.99)).summary
    assert at in missed.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--detector", "nowhere"], "no detector there"),
        (["--criterion", "recall"], "expected best-f1"),
        (["--prevalence", "2"], "expected a share of images between 0 and 1"),
        (["--prevalence", "nan"], "expected a share of images between 0 and 1"),
        (["--overlays", "{folder}/text.png"], "no folder can be made there (File exists)"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(attending, folder, capsys, monkeypatch, wrong, said):
    monkeypatch.chdir(attending.root)
    option, value = wrong
    called = ["leanet", "predict", f"{folder}/a.png", option, value.format(folder=folder)]
    monkeypatch.setattr(sys, "argv", called)
    with pytest.raises(SystemExit, match="^leanet: ") as ended:
        command_line.main()
    assert said in str(ended.value)
    assert capsys.readouterr() == ("", "")


def test_where_nothing_can_be_read_nothing_was_judged(attending, folder):
    done = judged(attending, "nowhere.png", str(folder / "text.png"))
    assert done.returncode == 1
    assert "nowhere.png: no such file\n" in done.stderr
    assert done.stderr.splitlines()[-1] == "leanet: none of 2 could be read"


def test_files_are_those_that_are_named(folder):
    inside = [folder / name for name in ("a.png", "broken.png", "deeper/b.jpg", "text.png")]
    assert find([str(folder)]) == inside
    assert find([str(folder / "**/*.jpg"), str(folder / "a.png"), str(folder / "a.png")]) == [inside[2], inside[0]]
    assert find(["-"], io.BytesIO(f"{inside[3]}\n\n{inside[0]}\n".encode())) == [inside[3], inside[0]]
    assert find(["not there.png"]) == [Path("not there.png")]
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="no image in this folder"):
        find([str(folder / "empty")])
