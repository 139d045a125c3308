"""What is packaged: what it says is what its parts said, and what it knows of itself is of images it never saw."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from conftest import Project
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import interpolate

from leanet.attention.detect import Samples, look, predict
from leanet.attention.leanet import LEANet, build
from leanet.color.anomaly_map import make_maps
from leanet.color.unet import UNet
from leanet.core import parallel, paths
from leanet.detector import ensemble as networks
from leanet.detector.calibration import log_odds
from leanet.detector.detector import Detector
from leanet.images import imageset
from leanet.packaging import graph, package
from leanet.packaging.card import card
from leanet.packaging.package import _drawn, _out_of_fold, _own

CPU, FLOAT = torch.device("cpu"), torch.float32


@pytest.fixture(scope="module")
def light(attending) -> Detector:
    return Detector.load(attending.root / paths.DETECTOR, "cpu")


@pytest.fixture(scope="module")
def packaged(ensemble) -> Path:
    return ensemble.root / paths.DETECTOR


@pytest.fixture(scope="module")
def detector(packaged) -> Detector:
    return Detector.load(packaged, "cpu")


@pytest.fixture(scope="module")
def data(finished) -> imageset.ImageSet:
    return imageset.load(finished.root / paths.split("leaf"))


def trained(project: Project) -> list[dict[str, torch.Tensor]]:
    """The weights that the package was made of, by the keys that it noted: colouriser, light network, folds."""
    keys = json.loads((project.root / paths.KEPT / "package.json").read_text())
    return [load_file(project.root / paths.KEPT / f"{key}.weights.safetensors") for key in keys]


def unet_of(weights: dict[str, torch.Tensor]) -> UNet:
    unet = UNet(side=32, width=8, dropout=0)
    unet.load_state_dict(weights)
    return unet.eval()


def network_of(weights: dict[str, torch.Tensor]) -> LEANet:
    network = build("cnn-direct", side=32, point=5)
    network.load_state_dict(weights)
    return network.eval()


def maps_of(unet: UNet, images: np.ndarray, dtype: torch.dtype = FLOAT) -> np.ndarray:
    made = make_maps(unet, images, np.arange(len(images)), filled=False, device=CPU, dtype=dtype)
    return np.concatenate([maps for _, maps, _ in made])


@torch.inference_mode()
def one_look(network: LEANet, images: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Margins, and attention, of images as they are."""
    samples = Samples.on(CPU, images, maps, np.zeros(len(images), int), 30, np.arange(len(images)))
    logits, _, attention = network(*samples.batch(torch.arange(len(images))))
    return (logits[:, 1] - logits[:, 0]).numpy(), interpolate(attention, (32, 32), mode="bilinear")[:, 0].numpy()


def test_a_light_detector_says_what_its_network_says_in_one_look(light, attending, data):
    images = data.images[:]
    unet, network, *_ = trained(attending)
    maps = maps_of(unet_of(unet), images)
    margins, attention = one_look(network_of(network), images, maps)
    judged = light.predict(images)
    np.testing.assert_allclose(judged.maps, maps, atol=0.02)  # its colouriser lies in float16
    np.testing.assert_allclose(light.known["statistics"], judged.statistics[light.known["sample"]], atol=0.05)
    np.testing.assert_allclose(judged.attention, attention, atol=1e-3)
    said = log_odds(light.calibration.probabilities(margins))
    assert light.facts["network_in"] == "int8"
    assert np.sqrt(np.mean((log_odds(judged.scores) - said) ** 2)) < graph.NOTHING_LOST
    assert judged.labels.tolist() == (judged.scores > light.threshold.value).tolist()


def test_its_estimates_are_one_look_of_the_folds_networks_at_images_that_they_never_saw(light, attending, data):
    _, _, *folds = trained(attending)
    np.testing.assert_array_equal(light.known["labels"], data.labels)
    np.testing.assert_array_equal(light.known["folds"], data.first_tested_in)
    for fold, weights in enumerate(folds):
        tested = data.tested(fold)
        unet = load_file(attending.root / paths.unet("leaf") / f"fold{fold}.safetensors")
        maps = maps_of(unet_of(unet), data.images[tested])
        margins, _ = one_look(network_of(weights), data.images[tested], maps)
        np.testing.assert_allclose(light.known["margins"][tested], margins, atol=1e-4)


def test_float16_stands_in_where_int8_would_lose_something(attending, data, tmp_path, monkeypatch):
    unet, network, *_ = trained(attending)
    facts = json.loads((attending.root / paths.DETECTOR / "detector.json").read_text())
    of_one = networks.Ensemble([networks.member_of(facts, [unet, network])], networks.Calibration(1.0, 0.0, 0.5))
    exported = graph.program(of_one.eval(), 32)
    images = data.images[:]
    found = []
    for number, most in enumerate((graph.NOTHING_LOST, 0)):
        monkeypatch.setattr(graph, "NOTHING_LOST", most)
        file = tmp_path / f"{number}.onnx"
        kind = graph.write_light(exported, file, {"side": "32"}, images, attends=True)
        assert kind == ("int8", "float16")[number]
        model = onnx.load(file)
        assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
        assert {entry.key: entry.value for entry in model.metadata_props}["side"] == "32"
        assert ("QuantizeLinear" in {node.op_type for node in model.graph.node}) == (kind == "int8")
        found.append(onnxruntime.InferenceSession(file).run(["score", "map", "color"], {"images": images}))
    with torch.inference_mode():
        scores, maps, _, _, color = (part.numpy() for part in of_one(torch.from_numpy(images)))
    np.testing.assert_allclose(found[1][0], scores, atol=1e-3)
    for score, map_, mean in found:  # the images are quantized for the network alone
        np.testing.assert_allclose(map_, maps, atol=0.02)
        np.testing.assert_allclose(mean, color, atol=1e-3)
        assert np.abs(score - scores).mean() < 0.05


def test_its_maps_are_those_that_networks_are_trained_on_where_these_are_made_in_bf16(detector, packaged, data):
    judged = detector.predict(data.images[:])
    unets = [unet_of(load_file(packaged / of_unet)) for of_unet, _ in detector.facts["members"]]
    of_members = [maps_of(unet, data.images, torch.bfloat16) for unet in unets]
    assert np.abs(np.mean(of_members, axis=0) - judged.maps).mean() < 0.1


def test_what_it_knows_of_its_images_is_the_same_bits_on_any_number_of_cores(detector, data, monkeypatch):
    members = list(detector.networks.ensemble.members)
    seen = set()
    for member in members:
        member.unet.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    known = []
    for count in (1, 2, 3):
        seen.clear()
        monkeypatch.setattr(parallel, "cores", lambda count=count: count)
        known.append([_out_of_fold(members, data, CPU), *_own(members, data.images[:], CPU)])
        assert seen == {1}
    for one, *others in zip(*known, strict=True):
        assert np.isfinite(one).all()
        assert all(np.array_equal(one, other) for other in others)
    judged = detector.predict(data.images[:])
    np.testing.assert_allclose(known[0][1], judged.statistics, atol=1e-2)
    np.testing.assert_allclose(known[0][2], judged.features, atol=1e-3)


def test_a_smaller_draw_is_a_part_of_a_larger_one(data):
    few, all_ = _drawn(data, 2), _drawn(data, 100)
    np.testing.assert_array_equal(data.labels[few], [0, 0, 1, 1])
    assert sorted(all_) == list(range(len(data.labels)))
    np.testing.assert_array_equal(all_[np.isin(all_, few)], few)


def slow_members(folder: Path, facts: dict, images: np.ndarray):
    """What each member says of `images`, by the code of the pipeline's stages: scores, maps, attention."""
    for of_unet, of_network in facts["members"]:
        network = network_of(load_file(folder / of_network))
        maps = maps_of(unet_of(load_file(folder / of_unet)), images)
        samples = Samples.on(CPU, images, maps, np.zeros(len(images), int), 30, np.arange(len(images)))
        yield (
            predict(network, samples, recipe="fast", dtype=FLOAT),
            maps,
            look(network, samples, dtype=FLOAT)["attention"],
        )


def test_an_ensemble_says_what_its_networks_say(detector, packaged, data):
    images = data.images[:]
    judged = detector.predict(images)
    scores, maps, attention = zip(*slow_members(packaged, detector.facts, images), strict=True)
    margins = np.log(np.array(scores, float) / (1 - np.array(scores, float)))
    expected = detector.calibration.probabilities(margins).mean(axis=0)
    np.testing.assert_allclose(judged.scores, expected, atol=1e-5)
    np.testing.assert_array_equal(judged.labels, judged.scores > detector.threshold.value)
    np.testing.assert_allclose(judged.maps, np.mean(maps, axis=0), atol=1e-3)
    seen = interpolate(torch.from_numpy(np.mean(attention, axis=0))[:, None], (32, 32), mode="bilinear")
    np.testing.assert_allclose(judged.attention, seen[:, 0].numpy(), atol=1e-5)


def test_an_ensembles_estimates_are_those_of_the_cross_validation(detector, finished, data):
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


def test_who_may_read_one_file_may_read_all(attending, packaged):
    for folder in (attending.root / paths.DETECTOR, packaged):
        assert len({file.stat().st_mode for file in folder.iterdir()}) == 1


@pytest.mark.parametrize(
    ("project", "what"),
    [
        ("attending", "one network (cnn-direct at attention point 5)"),
        ("ensemble", "the mean of 2 networks"),
    ],
)
def test_the_card_says_what_it_is_and_where_it_comes_from(project, what, request):
    packaged = request.getfixturevalue(project).root / paths.DETECTOR
    card = " ".join((packaged / "README.md").read_text().split())  # where its lines break is of no matter
    facts = json.loads((packaged / "detector.json").read_text())
    assert what in card
    assert "6 anomalous and 10 normal images of leaf" in card
    assert "too few to tell the recall" in card
    assert facts["provenance"]["dvc_lock"].keys() == {
        f"data/{name}/leaf" for name in ("raw", "split", "unet", "maps")
    }
    for digest in facts["provenance"]["dvc_lock"].values():
        assert digest in card


def test_that_surroundings_tell_the_classes_apart_is_said_by_card_and_detector(attending):
    detector = Detector.load(attending.root / paths.DETECTOR)
    assert not any("surrounds" in doubt for doubt in detector.doubts)
    detector.facts["border"] = 0.97
    said = "hat surrounds the objects alone tells its training images apart (AUROC 0.97)"
    assert f"w{said}" in " ".join(detector.doubts)
    assert f"W{said}" in card(detector)


def test_what_is_shown_beside_a_new_image_is_small(light, data):
    assert light.known["thumbnails"].shape == (len(light.known["gallery"]), 32, 32, 3)
    small = package._thumbnails(np.stack([np.asarray(Image.fromarray(data.images[0]).resize((128, 128)))]))
    assert small.shape == (1, package.THUMBNAIL, package.THUMBNAIL, 3)


def test_a_kill_between_its_trainings_leaves_nothing_once_it_has_run(attending, tmp_path):
    project = attending.copy(tmp_path / "project")
    kept = project.root / paths.KEPT
    before = sorted(kept.rglob("*"))
    (project.root / "killed.py").write_text("""
import os
from leanet.packaging.networks import Networks
from leanet.run import stage
from stages.package import main
jobs = Networks._jobs
Networks._jobs = lambda self, maps, **how: jobs(self, maps, **how) if how else os._exit(9)
stage.run("package", main)
""")
    assert project.run("python", "killed.py").returncode == 9
    assert sorted(kept.rglob("*")) != before
    assert project.run("python", "-m", "stages.package").returncode == 0
    assert sorted(kept.rglob("*")) == before
