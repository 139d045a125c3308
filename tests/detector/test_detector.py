"""The packaged detector: what it says is what its parts said, and what it is given may be anything."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from leanet import cli as command_line
from leanet.attention.detect import Samples, look, predict
from leanet.attention.leanet import build
from leanet.color.anomaly_map import make_maps
from leanet.color.unet import UNet
from leanet.core import parallel, paths
from leanet.core.errors import InputError
from leanet.detector import package
from leanet.detector.card import card
from leanet.detector.criterion import Criterion
from leanet.detector.detector import Detector
from leanet.detector.package import _embeddings, _out_of_fold
from leanet.detector.reading import find
from leanet.evaluation import predictions
from leanet.images import imageset

CPU, FLOAT = torch.device("cpu"), torch.float32


@pytest.fixture(scope="module")
def packaged(attending) -> Path:
    return attending.root / paths.DETECTOR


@pytest.fixture(scope="module")
def detector(packaged) -> Detector:
    return Detector.load(packaged, "cpu")


@pytest.fixture(scope="module")
def data(finished) -> imageset.ImageSet:
    return imageset.load(finished.root / paths.split("leaf"))


def test_its_maps_are_those_that_networks_are_trained_on_where_these_are_made_in_bf16(detector, packaged, data):
    judged = detector.predict(data.images[:])
    of_members = []
    for of_unet, _ in detector.facts["members"]:
        unet = UNet(side=32, width=detector.facts["unet_width"], dropout=0)
        unet.load_state_dict(load_file(packaged / of_unet))
        made = make_maps(
            unet, data.images, np.arange(len(data.images)), filled=False, device=CPU, dtype=torch.bfloat16
        )
        of_members.append(np.concatenate([maps for _, maps, _ in made]))
    assert np.abs(np.mean(of_members, axis=0) - judged.maps).mean() < 0.1


def test_what_it_knows_of_its_images_is_the_same_bits_on_any_number_of_cores(packaged, data, monkeypatch):
    members = list(Detector.load(packaged, "cpu").ensemble.members)
    seen = set()
    for member in members:
        member.unet.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    known = []
    for count in (1, 2, 3):
        seen.clear()
        monkeypatch.setattr(parallel, "cores", lambda count=count: count)
        known.append([*_out_of_fold(members, data, CPU), _embeddings(members, data.images[:], CPU)])
        assert seen == {1}
    for one, *others in zip(*known, strict=True):
        assert np.isfinite(one).all()
        assert all(np.array_equal(one, other) for other in others)
    assert np.abs(Detector.load(packaged, "cpu").embed(data.images[:]) - known[0][2]).max() < 1e-3


def slow_members(detector: Detector, folder: Path, images: np.ndarray):
    """What each member says of `images`, by the code of the pipeline's stages: scores, maps, attention."""
    for of_unet, of_network in detector.facts["members"]:
        unet = UNet(side=32, width=detector.facts["unet_width"], dropout=0)
        unet.load_state_dict(load_file(folder / of_unet))
        network = build(detector.facts["row"], side=32, point=detector.facts["point"])
        network.load_state_dict(load_file(folder / of_network))
        maps = np.concatenate(
            [
                maps
                for _, maps, _ in make_maps(
                    unet, images, np.arange(len(images)), filled=False, device=CPU, dtype=FLOAT
                )
            ]
        )
        labels, everyone = np.zeros(len(images), int), np.arange(len(images))
        samples = Samples.on(CPU, images, maps, labels, detector.facts["map_scale"], everyone)
        scores = predict(network, samples, recipe=detector.facts["recipe"], dtype=FLOAT)
        yield scores, maps, look(network, samples, dtype=FLOAT)["attention"]


def test_it_says_what_its_networks_say(detector, packaged, data):
    images = data.images[:]
    judged = detector.predict(images)
    scores, maps, attention = zip(*slow_members(detector, packaged, images), strict=True)
    margins = np.log(np.array(scores, float) / (1 - np.array(scores, float)))
    expected = detector.calibration.probabilities(margins).mean(axis=0)
    np.testing.assert_allclose(judged.scores, expected, atol=1e-5)
    np.testing.assert_array_equal(judged.labels, judged.scores > detector.threshold.value)
    np.testing.assert_allclose(judged.maps, np.mean(maps, axis=0), atol=1e-3)
    seen = torch.nn.functional.interpolate(
        torch.from_numpy(np.mean(attention, axis=0))[:, None], (32, 32), mode="bilinear"
    )
    np.testing.assert_allclose(judged.attention, seen[:, 0].numpy(), atol=1e-5)


def test_its_estimates_are_of_images_that_its_networks_never_saw(detector, finished, data):
    """Its trainings are those of the cross-validation: they say the same of the images of the test folds."""
    known = detector.known
    np.testing.assert_array_equal(known["labels"], data.labels)
    np.testing.assert_array_equal(known["folds"], data.first_tested_in)
    table = pd.read_csv(finished.root / paths.cv("leaf", "cnn-direct") / "predictions.csv")
    table = table[table["point"] == detector.facts["point"]].set_index("path")["score"]
    assert detector.facts["images"] == data.manifest["path"].tolist()
    scores = 1 / (1 + np.exp(-known["margins"].astype(float)))
    np.testing.assert_allclose(scores, table[detector.facts["images"]], atol=0.02)  # bf16 there, float32 here
    assert np.corrcoef(scores, table[detector.facts["images"]])[0, 1] > 0.99


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
    np.testing.assert_allclose(*both, atol=1e-6)
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


def test_what_is_damaged_or_missing_is_one_line(packaged, tmp_path):
    with pytest.raises(InputError, match="no detector there; `dvc repro package` makes models/detector"):
        Detector.load(tmp_path)
    for name in ("unet1.safetensors", "network0.safetensors", "known.safetensors"):
        copy = tmp_path / name / "detector"
        shutil.copytree(packaged, copy)
        content = bytearray((copy / name).read_bytes())
        content[-5] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is missing or damaged"):
            Detector.load(copy)


def test_saving_what_was_loaded_gives_the_same_files(detector, packaged, tmp_path):
    detector.save(tmp_path)
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (packaged / file.name).read_bytes()
    assert len({file.stat().st_mode for file in packaged.iterdir()}) == 1  # who may read one may read all


def test_the_card_says_what_it_is_and_where_it_comes_from(packaged):
    card = (packaged / "README.md").read_text()
    facts = json.loads((packaged / "detector.json").read_text())
    assert "6 anomalous and 10 normal images of leaf" in card
    assert "too few to tell the recall" in card
    assert facts["provenance"]["dvc_lock"].keys() == {
        f"data/{name}/leaf" for name in ("raw", "split", "unet", "maps")
    }
    for digest in facts["provenance"]["dvc_lock"].values():
        assert digest in card


def test_that_surroundings_tell_the_classes_apart_is_said_by_card_and_detector(packaged, finished, monkeypatch):
    detector = Detector.load(packaged)
    assert not any("surrounds" in doubt for doubt in detector.doubts)
    detector.facts["border"] = 0.97
    said = "hat surrounds the objects alone tells its training images apart (AUROC 0.97)"
    assert f"w{said}" in " ".join(detector.doubts)
    assert f"W{said}" in card(detector)
    monkeypatch.chdir(finished.root)
    table = predictions.read(paths.cv("leaf", "border-histogram"))
    for scores, expected in ((table["label"] * 0.6, 1.0), (1.0 - table["label"], None)):
        monkeypatch.setattr(predictions, "read", lambda _, scores=scores: table.assign(score=scores))
        assert package.border("leaf", table["fold"].nunique()) == expected


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


def test_who_reads_no_further_is_no_error(attending, folder):
    command = "python -m leanet predict images/a.png --format jsonl | true"
    done = attending.run("bash", "-c", command.replace("images", str(folder)))
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_exit_statuses_and_json_lines(attending, folder, detector):
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
    assert done.stderr.splitlines()[-1] == "leanet: of 2 files none could be read"


def test_files_are_those_that_are_named(folder):
    inside = [folder / name for name in ("a.png", "broken.png", "deeper/b.jpg", "text.png")]
    assert find([str(folder)]) == inside
    assert find([str(folder / "**/*.jpg"), str(folder / "a.png"), str(folder / "a.png")]) == [inside[2], inside[0]]
    assert find(["-"], io.StringIO(f"{inside[3]}\n\n{inside[0]}\n")) == [inside[3], inside[0]]
    assert find(["not there.png"]) == [Path("not there.png")]
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="no image in this folder"):
        find([str(folder / "empty")])
