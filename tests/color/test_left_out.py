"""Who has seen which image: no colouriser's map of a test image, nor out of sample of any image, is of its own."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call
from safetensors.torch import load_file

from leanet.color.anomaly_map import make_maps
from leanet.color.left_out import colourisers, makers, name, of_tested
from leanet.color.unet import UNet
from leanet.images import counterfactuals, imageset
from leanet.images.imageset import ImageSet
from stages import anomaly_maps, augment, download, split, train_unet

N = 60


@pytest.fixture
def data() -> ImageSet:
    """Five folds, twice."""
    rng = np.random.default_rng(0)
    folds = {f"repeat{repeat}": rng.permutation(np.arange(N) % 5) for repeat in (1, 2)}
    manifest = pd.DataFrame({"label": np.arange(N) % 4 == 0, **folds}).astype(int)
    return ImageSet(np.zeros((N, 8, 8, 3), np.uint8), manifest)


def seen_by(data: ImageSet, left_out: tuple[int, ...]) -> set[int]:
    return set(data.normals(*left_out))


@pytest.mark.parametrize("out_of_sample", [False, True])
def test_no_fold_is_fitted_to_an_image_that_it_tests(data, out_of_sample):
    every, made_by = colourisers(data, out_of_sample), makers(data, out_of_sample)
    for fold in data.folds:
        used = {every[number] for number in made_by[fold]}
        assert all(not seen_by(data, left_out) & set(data.tested(fold)) for left_out in used)
        assert {every[number] for number in made_by[fold, data.tested(fold)]} == {
            of_tested(data, fold, out_of_sample)
        }


def test_out_of_sample_no_map_is_by_a_colouriser_that_has_seen_its_image(data):
    every, made_by = colourisers(data, True), makers(data, True)
    assert len(every) == 2 * 10
    for fold in data.folds:
        for image, number in enumerate(made_by[fold]):
            assert image not in seen_by(data, every[number])
    in_sample = makers(data, False)
    normals = data.normals(0)
    assert all(image in seen_by(data, colourisers(data, False)[in_sample[0, image]]) for image in normals)


def test_with_two_folds_maps_are_as_in_the_paper(data):
    manifest = data.manifest[["label"]].assign(repeat1=np.arange(N) % 2)
    two = ImageSet(data.images, manifest)
    assert colourisers(two, True) == colourisers(two, False) == [(0,), (1,)]
    assert np.array_equal(makers(two, True), makers(two, False))


def test_a_colouriser_sees_all_normal_images_that_it_may(data):
    fold_of = data.manifest["repeat1"].to_numpy()
    expected = [i for i in range(N) if not data.labels[i] and fold_of[i] not in (1, 3)]
    assert list(data.normals(1, 3)) == expected
    assert name((1, 3)) == "folds1-3"
    assert name((4,)) == "fold4"


def test_the_stages_make_each_map_by_the_colouriser_that_leaves_both_folds_out(tiny):
    for key, value in {"split.folds": 3, "train_unet.out_of_sample": True, "split.background": "fill"}.items():
        tiny.edit(key, value)
    for stage in (download, split, augment, train_unet, anomaly_maps):
        call(stage, "leaf")
    folder = tiny.root / "data"
    data, altered = (module.load(folder / "split/leaf") for module in (imageset, counterfactuals))
    tested_in = data.tested_in(0)

    def made(images: np.ndarray, one: int, other: int, filled: bool = True) -> np.ndarray:
        network = UNet(side=32, width=8, dropout=0)
        pair = name(tuple(sorted((one, other))))
        network.load_state_dict(load_file(folder / f"unet/leaf/{pair}.safetensors"))
        how = {"filled": filled, "device": torch.device("cpu"), "dtype": torch.float32}
        ((_, maps, _),) = make_maps(network, images[None], np.arange(1), **how)
        return maps[0]

    for fold in data.folds:
        maps = imageset.load_maps(folder / "maps/leaf", fold, data)
        for i in range(len(data.labels)):
            other = tested_in[i] if tested_in[i] != fold else (fold + 1) % 3
            np.testing.assert_allclose(maps[i], made(data.images[i], fold, other), atol=0.05)
            around = data.around(i, 0.05)
            if not (around == imageset.outside(None, 32, 0.05)).all():  # an object was found
                assert (maps[i][around] == 0).all()
                assert made(data.images[i], fold, other, filled=False)[around].mean() > 0.1
    of_altered = counterfactuals.load(folder / "split/leaf", folder / "maps/leaf").maps["exchanged"]
    for at, i in enumerate(altered.asked):
        expected = made(altered.images["exchanged"][at], tested_in[i], (tested_in[i] + 1) % 3)
        np.testing.assert_allclose(of_altered[at], expected, atol=0.05)
