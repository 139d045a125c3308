"""A set of normal images alone, or with next to no anomalous one, through all stages."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import Project, call, make_tiny

from leanet import cli
from leanet.color.lab import from_bytes
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.detector import ensemble
from leanet.detector.calibration import at_prevalence
from leanet.detector.criterion import Criterion
from leanet.detector.detector import Detector
from leanet.detector.predict import conclude
from leanet.evaluation import predictions
from leanet.images import imageset
from leanet.packaging.export import export
from leanet.packaging.merit import Merit
from stages import (
    anomaly_maps,
    augment,
    baselines,
    download,
    package,
    report,
    split,
    sweep,
    train_leanet,
    train_unet,
)

SET = (download, split, augment, train_unet, anomaly_maps, baselines)


def run(project: Project, positives: int, kind: str = "light") -> None:
    """All stages, here."""
    for key, value in (
        ("datasets.leaf.positives", positives),
        ("package", {"kind": kind, "dataset": None, "row": None, "point": None, "criterion": None}),
    ):
        project.edit(key, value)
    for script in SET:
        call(script, "leaf")
    for row in ("cnn", "cnn-direct"):
        call(train_leanet, "leaf", row)
    call(sweep, "leaf", "cnn")
    call(report)
    call(package)


@pytest.fixture(scope="module")
def normals(tmp_path_factory) -> Path:
    """A project of normal images alone, with its detector; not to be changed."""
    project = make_tiny(tmp_path_factory.mktemp("normals") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        run(project, 0)
    return project.root


def test_its_report_says_what_cannot_be_known(normals, monkeypatch):
    monkeypatch.chdir(normals)
    said = paths.TABLE.read_text()
    assert "how many anomalies it finds cannot be known, since there is no anomalous image" in said
    assert "attention points" not in said
    assert "Normal images alone: no network learns to tell both classes apart" in said
    assert "anomaly map alone, one class | 0 of 0" in said
    assert paths.PAGE.stat().st_size > 10_000
    assert not len(predictions.read(paths.cv("leaf", "cnn")))
    assert {file.stem for file in Path("metrics/rows/leaf").iterdir()} == {"map-one-class", "anomaly-map"}


def test_its_detector_promises_false_alarms_and_no_recall(normals, monkeypatch):
    monkeypatch.chdir(normals)
    detector = Detector.load(paths.DETECTOR, "cpu")
    at = detector.threshold
    assert (at.criterion, at.positives, at.negatives) == ("conformal 0.02", 0, 10)
    assert at.recall is at.precision is at.f1 is at.f1_held_out is None
    # Of ten images the highest score is the line, and so much may lie above it: 1 - 0.05 ** (1 / 10).
    assert at.value == pytest.approx(detector.scores.max())
    assert at.promised.startswith("false alarms at most 25.9%")
    assert "it takes 149" in at.promised
    assert any("cannot be known" in doubt for doubt in detector.doubts)
    card = (paths.DETECTOR / "README.md").read_text()
    assert "| recall, at the threshold below | unknown |" in card
    assert "F1 of the row" not in card
    assert "It knows what is normal in these images, and no anomalous one" in card
    assert at.promised[1:] in card
    for criterion in ("best-f1", "recall 0.9", "false-alarms 0.1"):
        with pytest.raises(InputError, match="there is no anomalous image to tell it by; expected conformal A"):
            detector.threshold_for(Criterion.parse(criterion))
    assert detector.threshold_for(Criterion.parse("conformal 0.5")).value < at.value
    with pytest.raises(InputError, match="knows normal images alone, and its scores are no probabilities"):
        at_prevalence(detector.scores, detector.calibration.prevalence, 0.1)
    assert None in Merit.of(paths.DETECTOR).average_precision


def test_what_takes_anomalous_images_is_refused_at_once(normals, monkeypatch, tmp_path):
    project = Project(normals)
    monkeypatch.chdir(normals)

    def run(*arguments: str) -> str | int | None:
        monkeypatch.setattr(sys, "argv", ["leanet", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            return end.code

    assert run("check") is None
    before = (normals / "params.yaml").read_text()
    project.edit("package.criterion", "recall 0.95")
    assert "package.criterion is recall 0.95, but leaf has no anomalous image to tell it by" in run("check")
    project.edit("package.criterion", "conformal 0.1")
    assert run("check") is None
    (normals / "params.yaml").write_text(before)
    asked = ("train_leanet.epochs=int(1,2)", "--trials", "2")
    assert "leaf has no anomalous images to learn from" in run("search", *asked)
    shutil.copytree("data/raw/leaf/Negative", tmp_path / "Negative")
    refused = "10 normal and 0 anomalous images can be read; expected two or more of each"
    assert refused in run("check-images", str(tmp_path))


def test_its_scores_out_of_fold_are_those_of_the_baseline(normals, monkeypatch):
    """Which come from the maps as they lie on disk, by other code."""
    monkeypatch.chdir(normals)
    detector = Detector.load(paths.DETECTOR, "cpu")
    table = predictions.read(paths.cv("leaf", "map-one-class")).set_index("path")["score"]
    np.testing.assert_allclose(detector.scores, table[detector.facts["images"]], atol=2e-3)


def test_its_networks_are_those_that_the_promise_rests_on(normals, monkeypatch):
    """New images are judged by the colourisers of all folds, though a light detector was asked for."""
    monkeypatch.chdir(normals)
    assert yaml.safe_load(Path("params.yaml").read_text())["package"]["kind"] == "light"
    detector = Detector.load(paths.DETECTOR, "cpu")
    assert (detector.facts["kind"], len(detector.facts["members"])) == ("ensemble", 2)
    images = imageset.load(paths.split("leaf")).images[:]
    alone = []
    for fold, member in enumerate(ensemble.load(paths.DETECTOR, detector.facts).eval().members):
        with torch.inference_mode():
            margins, *_ = member(from_bytes(torch.from_numpy(images)))
        alone.append(torch.sigmoid(margins).numpy())
        tested = detector.known["folds"] == fold
        np.testing.assert_allclose(alone[fold][tested], detector.scores[tested], atol=2e-3)
    np.testing.assert_allclose(detector.predict(list(images)).scores, np.mean(alone, axis=0), atol=2e-3)


def test_it_calls_anomalous_what_has_another_color_and_finds_what_looks_alike(normals, monkeypatch, capsys):
    monkeypatch.chdir(normals)
    detector = Detector.load(paths.DETECTOR, "cpu")
    known = imageset.load(paths.split("leaf")).images[:]
    strange = known.copy()
    strange[:, 8:24, 8:24] = (255, 0, 255)
    detector.threshold = detector.threshold_for(Criterion.parse("conformal 0.5"))  # of ten, the third highest
    judged = detector.predict([*known, *strange])
    assert judged.labels[10:].all()
    assert not judged.labels[:10].all()
    assert (judged.scores[10:] > judged.scores[:10]).all()
    normal, anomalous = detector.nearest(judged.features[3], 2)
    assert normal[0][0] == detector.facts["images"][3]
    assert not anomalous
    assert not any(shift.is_far for shift in detector.drift(judged.statistics[:10]))
    assert conclude(detector, judged.statistics[10:], 10, 10, 0, fail_on_anomaly=False) == 0
    assert "anomalous images would look like that, too: the detector knows none" in capsys.readouterr().err


def test_it_says_the_same_as_an_ensemble_and_without_leanet(normals, monkeypatch, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.chdir(normals)
    images = imageset.load(paths.split("leaf")).images[:]
    judged = Detector.load(paths.DETECTOR, "cpu").predict(list(images))
    export(paths.DETECTOR, tmp_path / "detector.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "detector.onnx")
    said = dict(
        zip((each.name for each in session.get_outputs()), session.run(None, {"images": images}), strict=True)
    )
    np.testing.assert_allclose(said["score"], judged.scores, atol=1e-4)


@pytest.mark.parametrize("positives", [1, 3])
def test_few_anomalous_images(tiny, positives):
    """One cannot be both trained on and tested; of three in five folds, each of three folds has one."""
    tiny.edit("split.folds", 5)
    run(tiny, positives, kind="ensemble")
    found = json.loads(paths.findings("leaf").read_text())["remarks"]
    detector = Detector.load(paths.DETECTOR, "cpu")
    if positives == 1:
        assert any(line.startswith("Anomalous images of one group alone") for line in found)
        assert detector.facts["row"] == "map-one-class"
        # It was fitted to none of it, so that what it finds of it counts.
        assert (detector.threshold.positives, detector.threshold.criterion) == (1, "conformal 0.02")
        assert detector.threshold.recall.estimate in (0, 1)
        return
    assert "3 folds, not 5: there are no more anomalous images, or groups of them." in found
    folds = pd.read_csv(paths.split("leaf") / "manifest.csv")
    assert folds.groupby("repeat1")["label"].sum().tolist() == [1, 1, 1]
    assert detector.facts["row"] in ("cnn", "cnn-direct")
    assert len(detector.facts["members"]) == 3
