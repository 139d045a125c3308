"""Painted anomalies: another colour at the same brightness, and a training that learns from them first."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from leanet.attention import detect, painting
from leanet.attention.detect import Samples, train_cell
from leanet.attention.leanet import build
from leanet.cli.params import TrainLEANet
from leanet.images.preparation import FILL
from leanet.training.job import Place

DEVICE = torch.device("cpu")


def greyish() -> torch.Tensor:
    """Images of which no painted colour is outside of sRGB."""
    return torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4


def test_painting_changes_a_and_b_alone_where_it_says_and_no_filled_background():
    images = greyish()
    images[..., :8, :] = FILL / 255
    painted, where = painting.paint(images, torch.Generator().manual_seed(0))
    before, after = (rgb2lab(each.permute(0, 2, 3, 1).numpy()) for each in (images, painted))
    change, there = np.abs(after - before), where[:, 0].numpy()
    assert change[..., 0].max() < 0.1
    assert np.linalg.norm(change[..., 1:], axis=-1)[there].min() > painting.SHIFT[0] - 0.5
    assert torch.equal(painted[~where.expand_as(painted)], images[~where.expand_as(images)])
    assert not there[:, :8].any()
    shares = there[:, 8:].mean(axis=(1, 2))
    assert (shares > 0.002).all()
    assert (shares < 0.25).all()
    assert shares.max() > 3 * shares.min()


def test_a_painted_image_has_a_map_of_the_colours_that_were_there():
    images, maps = greyish(), torch.rand(8, 1, 32, 32)
    painted, where = painting.paint(images, torch.Generator().manual_seed(0))
    found = painting.painted_maps(maps, images, painted, where)
    lab = [rgb2lab(each.permute(0, 2, 3, 1).numpy()) for each in (images, painted)]
    wanted = np.where(where[:, 0], deltaE_ciede2000(*lab), maps[:, 0])
    assert np.abs(found[:, 0].numpy() - wanted).max() < 0.01


def test_nothing_is_painted_where_there_is_no_object():
    images = torch.full((2, 3, 32, 32), FILL / 255)
    painted, where = painting.paint(images, torch.Generator().manual_seed(0))
    assert torch.equal(painted, images)
    assert not where.any()


def settings(epochs: int) -> TrainLEANet:
    return TrainLEANet(
        points=[1],
        epochs=epochs,
        batch_size=8,
        learning_rate=0.003,
        learning_rate_vgg=0.003,
        pretrained=False,
        map_scale=30,
        seed=0,
    )


def samples() -> Samples:
    """Sixteen normal images and two anomalous ones, whose maps are dark."""
    rng = np.random.default_rng(0)
    images = rng.integers(100, 156, (18, 32, 32, 3), dtype=np.uint8)
    maps = rng.uniform(0, 2, (18, 32, 32)).astype(np.float16)
    return Samples.on(DEVICE, images, maps, np.repeat([0, 1], [16, 2]), 30, np.arange(18))


def test_it_learns_to_find_what_is_painted():
    """Before it has seen the two anomalous images: the attention map is higher where an anomaly is painted."""
    data = samples()
    network = build("cnn-painted", side=32, point=1)
    how = {"recipe": "fast", "epochs": 12, "learning_rate": 0.003, "dtype": torch.float32, "order_seed": 0}
    told = []
    place = Place(DEVICE, None, told.append)
    draws = torch.Generator().manual_seed(0)
    detect.teach_by_painted(network, data, place, batch_size=4, **how, draws=draws)
    assert len(told) == 12
    assert told[-1].loss < 0.8 * told[0].loss
    images = greyish()
    painted, where = painting.paint(images, torch.Generator().manual_seed(1))
    maps = painting.painted_maps(torch.ones(8, 1, 32, 32), images, painted, where)
    network.eval()
    with torch.inference_mode():
        _, g, attention = network(painted, maps / 30)
        _, g_before, _ = network(images, torch.ones(8, 1, 32, 32) / 30)
    there = torch.nn.functional.adaptive_avg_pool2d(where.float(), attention.shape[2:])
    assert attention[there > 0.5].mean() > attention[there == 0].mean() + 0.1
    assert (g[:, 1] - g[:, 0] > g_before[:, 1] - g_before[:, 0]).all()


@pytest.mark.parametrize(("row", "epochs"), [("cnn-contrast", 2), ("cnn-painted", 4)])
def test_it_is_taught_as_many_epochs_again(row, epochs):
    told = []
    place = Place(DEVICE, None, told.append)
    how = {"recipe": "fast", "fold": 0, "dtype": torch.float32}
    _, losses = train_cell(row, 1, samples(), settings(2), place, **how)
    assert (len(losses), len(told)) == (2, epochs)
