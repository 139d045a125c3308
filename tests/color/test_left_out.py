"""Who has seen which image: no colouriser's map of a test image, nor out of sample of any image, is of its own."""

import numpy as np
import pandas as pd
import pytest

from leanet.color.left_out import colourisers, makers, name, of_tested
from leanet.images.imageset import ImageSet

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


def test_a_colouriser_sees_all_normal_images_that_it_may(data):
    fold_of = data.manifest["repeat1"].to_numpy()
    expected = [i for i in range(N) if not data.labels[i] and fold_of[i] not in (1, 3)]
    assert list(data.normals(1, 3)) == expected
    assert name((1, 3)) == "folds1-3"
    assert name((4,)) == "fold4"
