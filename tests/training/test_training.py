"""The training loop, and what may reach what is fitted for a fold."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call
from torch import nn

from leanet.attention.detect import Samples, train_cell
from leanet.attention.leanet import LEANet
from leanet.attention.settings import TrainLEANet
from leanet.core import device as devices
from leanet.core.errors import InputError
from leanet.images import imageset
from leanet.training.checkpoint import Checkpoint
from leanet.training.job import Place
from leanet.training.loop import as_they_lie, batches, fit
from stages import anomaly_maps, augment, download, split, train_leanet, train_unet

DEFAULTS = {
    "recipe": "paper",
    "epochs": 3,
    "batch_size": 4,
    "learning_rate": 0.1,
    "dtype": torch.float32,
    "order_seed": 0,
    "place": Place(torch.device("cpu"), checkpoint=None, on_epoch=lambda loss: None),
}


def nothing(_batch, _done):
    return ()


def test_a_single_last_image_joins_the_batch_before():
    sizes = {count: [len(b) for b in batches(torch.arange(count), 4)] for count in (1, 4, 5, 8, 9, 10)}
    assert sizes == {1: [1], 4: [4], 5: [5], 8: [4, 4], 9: [4, 5], 10: [4, 4, 2]}


def test_fit_takes_every_image_once_an_epoch_and_lowers_the_loss():
    network, x = nn.Linear(1, 1), torch.linspace(0, 1, 9)[:, None]
    taken = []

    def given(batch, _done):
        taken.append(batch.tolist())
        return (x[batch],)

    def batch_loss(x):
        return ((network(x) - 3 * x) ** 2).mean()

    history = fit(network, given, batch_loss, 9, **{**DEFAULTS, "epochs": 30})
    assert len(history) == 30
    assert history[-1] < history[0] / 3
    for epoch in (taken[0:2], taken[2:4]):
        assert sorted(i for batch in epoch for i in batch) == list(range(9))
    assert taken[0] != taken[2]


def test_adam_is_given_weights_as_they_lie_in_memory_and_steps_as_on_the_weights_themselves():
    """With the weights as they are named, torch's own Adam comes to the same numbers."""
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 2))
    network = network.to(memory_format=torch.channels_last)
    other, x = copy.deepcopy(network), torch.rand(8, 3, 8, 8)
    for _, view, _ in as_they_lie(network):
        assert view.is_contiguous()
    how = DEFAULTS | {"learning_rate": 0.01, "batch_size": 8}
    fit(network, lambda batch, _done: (x[batch],), lambda x: network(x).square().mean(), 8, **how)
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    order = torch.Generator().manual_seed(DEFAULTS["order_seed"])
    for _ in range(DEFAULTS["epochs"]):
        optimizer.zero_grad()
        other(x[torch.randperm(8, generator=order)]).square().mean().backward()
        optimizer.step()
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_patience_counts_epochs_without_a_lower_loss():
    network, losses = nn.Linear(1, 1), iter([5.0, 4.0, 4.5, 4.1, 4.2, 3.0])

    def batch_loss():
        return network.weight.sum() * 0 + next(losses)

    assert fit(network, nothing, batch_loss, 4, **{**DEFAULTS, "epochs": 6}, patience=3) == pytest.approx(
        [5.0, 4.0, 4.5, 4.1, 4.2]
    )


def test_a_loss_that_is_no_number_stops_the_training():
    network = nn.Linear(1, 1)
    with pytest.raises(InputError, match="loss is nan in epoch 1; lower learning_rate"):
        fit(network, nothing, lambda: network.weight.sum() * float("nan"), 4, **DEFAULTS)


def test_a_loss_that_stops_being_a_number_names_what_is_kept(tmp_path):
    network, factors = nn.Linear(1, 1), iter([1, 1, float("nan")])
    checkpoint = Checkpoint(tmp_path / "cell")
    place = Place(torch.device("cpu"), checkpoint, on_epoch=lambda loss: None)
    said = rf"loss is nan in epoch 3; lower learning_rate \(epoch 2 is kept in {tmp_path}\)"
    with pytest.raises(InputError, match=said):
        fit(network, nothing, lambda: network.weight.sum() * next(factors), 4, **DEFAULTS | {"place": place})
    checkpoint.wait()
    assert len(checkpoint.load()[1]["history"]) == 2


@pytest.mark.parametrize(("map_scale", "top"), [(20, [0.5, 2.0]), ("own-maximum", [1.0, 1.0])])
def test_maps_enter_by_a_fixed_scale_or_by_their_own_maximum(map_scale, top):
    maps = np.zeros((2, 4, 4), np.float16)
    maps[:, 1, 2] = [10, 40]
    images = np.full((2, 4, 4, 3), 255, np.uint8)
    data = Samples.on(torch.device("cpu"), images, maps, np.array([0, 1]), map_scale, np.arange(2))
    entering, scaled = data.batch(torch.tensor([0, 1]))
    assert entering.shape == (2, 3, 4, 4)
    assert entering.min() == entering.max() == 1
    assert scaled.amax(dim=(1, 2, 3)).tolist() == pytest.approx(top)


def test_a_device_that_is_not_there_is_one_line():
    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(InputError, match=f"device is {absent}, but this machine has only"):
        devices.select(absent)
    assert devices.select("cpu").type == "cpu"


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_memory_is_kept_on_the_cpu():
    """Large blocks freed and taken again are the same pages: without it, each page of each is cleared anew."""
    code = """
import resource, sys, torch
from leanet.core import device
if sys.argv[1] == "kept":
    device.prepare("cpu")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""

    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("given back") > 10 * faults("kept") + 1000


@pytest.mark.parametrize(
    ("row", "point", "sides"),
    [
        ("resnet18", 0, [64, 64, 128, 128]),
        ("resnet18-direct", 5, [64, 64, 128, 128]),
        ("cnn", 0, [128] * 4),  # its last layer is as wide as the images are large
    ],
)
def test_networks_that_can_are_trained_on_small_images_first(row, point, sides, monkeypatch):
    seen = []
    forward = LEANet.forward

    def watched(network, images, maps):
        if not images.is_meta:
            assert images.shape[2:] == maps.shape[2:]
            seen.append(images.shape[3])
        return forward(network, images, maps)

    monkeypatch.setattr(LEANet, "forward", watched)
    images, maps = np.zeros((4, 128, 128, 3), np.uint8), np.zeros((4, 128, 128), np.float16)
    data = Samples.on(torch.device("cpu"), images, maps, np.array([0, 1, 0, 1]), 30, np.arange(4))
    settings = TrainLEANet([4], 4, 4, 1e-3, 1e-3, pretrained=False, map_scale=30, seed=0)
    how = {"recipe": "fast", "fold": 0, "dtype": torch.float32}
    train_cell(row, point, data, settings, DEFAULTS["place"], **how)
    assert seen == sides


def fit_all() -> pd.DataFrame:
    """Everything that is fitted; the losses of fold 0's networks."""
    for script in (augment, train_unet, anomaly_maps):
        call(script, "leaf")
    call(train_leanet, "leaf", "cnn-direct")
    history = pd.read_csv("data/cv/leaf/cnn-direct/history.csv")
    return history[history["fold"] == 0]


def test_no_test_image_reaches_what_is_fitted_for_its_fold(tiny):
    """Basis, colouriser, maps and networks of fold 0 are the same whatever its test images are."""
    for script in (download, split):
        call(script, "leaf")
    losses = fit_all()
    weights, basis = tiny.root / "data/unet/leaf/fold0.safetensors", tiny.root / "data/augment/leaf.json"
    before = weights.read_bytes(), basis.read_text().split("eigenvalues")[1]
    maps_before = np.load("data/maps/leaf/fold0.npy")

    images = np.load("data/split/leaf/images.npy")
    tested = (pd.read_csv("data/split/leaf/manifest.csv")["repeat1"] == 0).to_numpy()
    images[tested] = np.random.default_rng(0).integers(0, 256, images[tested].shape)
    np.save("data/split/leaf/images.npy", images)
    imageset.seal(Path("data/split/leaf"))
    assert fit_all().equals(losses)
    assert (weights.read_bytes(), basis.read_text().split("eigenvalues")[1]) == before
    maps_after = np.load("data/maps/leaf/fold0.npy")
    assert np.array_equal(maps_after[~tested], maps_before[~tested])
    assert not np.array_equal(maps_after[tested], maps_before[tested])
    # Fold 1 trains on what fold 0 tests: there the change must show.
    assert basis.read_text().split("eigenvalues")[2] != before[1]


def test_two_runs_give_equal_predictions(finished, tmp_path, monkeypatch):
    project = finished.copy(tmp_path / "again")
    monkeypatch.chdir(project.root)
    shutil.rmtree("data/kept")
    for row in ("cnn", "cnn-direct"):
        folder = project.root / "data/cv/leaf" / row
        first = (folder / "predictions.csv").read_bytes()
        call(train_leanet, "leaf", row)
        assert (folder / "predictions.csv").read_bytes() == first
        assert (folder / "history.csv").is_file()


def test_every_image_is_predicted_once_a_point(finished):
    manifest = pd.read_csv(finished.root / "data/split/leaf/manifest.csv")
    for row, points in (("cnn", [0]), ("cnn-direct", [1, 5])):
        predictions = pd.read_csv(finished.root / f"data/cv/leaf/{row}/predictions.csv")
        assert sorted(predictions["point"].unique()) == points
        for _, at_point in predictions.groupby("point"):
            merged = manifest.merge(
                at_point, left_on=["path", "label", "repeat1"], right_on=["path", "label", "fold"]
            )
            assert len(merged) == len(at_point) == len(manifest)


def test_training_needs_neither_dvc_nor_mlflow():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['dvc', 'mlflow']));"
        "from stages import split, augment, train_unet, anomaly_maps, baselines, train_leanet, sweep, report"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
