"""ADNs that begin with ImageNet's weights, from the hub's folder to the detector; without a linear layer, too."""

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from conftest import Project, call

from leanet.attention import adn
from leanet.attention.leanet import build
from leanet.core import paths
from leanet.detector.detector import Detector
from leanet.images import imageset
from stages import package, train_leanet

ROW = "squeezenet1_1"  # its last layer is a convolution
FILE = "squeezenet1_1-b8a52dc0.pth"  # as torchvision downloads it


@pytest.fixture
def project(finished, tmp_path, monkeypatch) -> Project:
    """A finished project, of another row; the weights lie where torch would have put them."""
    checkpoints = tmp_path / "torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    torch.manual_seed(5)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), checkpoints / FILE)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    project = finished.copy(tmp_path / "project")
    project.edit("rows", [ROW])
    project.edit("package.row", ROW)
    project.edit("sweep.rows", [])
    project.edit("train_leanet.pretrained", True)
    monkeypatch.chdir(project.root)
    return project


def test_a_pretrained_row_becomes_a_detector_that_says_what_its_cross_validation_said(project):
    call(train_leanet, "leaf", ROW)
    call(package)
    detector = Detector.load(paths.DETECTOR, "cpu")
    data = imageset.load(paths.split("leaf"))
    assert detector.facts["pretrained"] is True
    table = pd.read_csv(paths.cv("leaf", ROW) / "predictions.csv").set_index("path")["score"]
    scores = 1 / (1 + np.exp(-detector.known["margins"].astype(float)))
    np.testing.assert_allclose(scores, table[detector.facts["images"]], atol=0.05)  # one look there, eight here
    assert detector.predict(data.images[:3]).scores.shape == (3,)
    normal, anomalous = detector.nearest(detector.predict(data.images[:1]).features[0], count=1)
    assert max(normal[0][1], anomalous[0][1]) == pytest.approx(1, abs=1e-2)  # the image itself is in the gallery


def test_training_begins_with_those_weights(project):
    weights = adn.imagenet_weights(ROW)
    theirs = torch.load(project.root.parent / "torch/hub/checkpoints" / FILE)
    network = build(ROW, side=32, point=None, pretrained=True, weights=weights).adn.network[1]
    first = network.state_dict()["features.0.weight"]
    assert torch.equal(first, theirs["features.0.weight"])
