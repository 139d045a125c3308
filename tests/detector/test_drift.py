"""Whether new images are of the kind that a detector knows."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from leanet.core import paths
from leanet.detector.detector import Detector
from leanet.detector.drift import STATISTICS, compare, statistics


def images(count: int, brightness: float, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    colors = draw.normal([90, 140, 60], 12, (count, 1, 1, 3)) * brightness + draw.normal(0, 5, (count, 16, 16, 3))
    return colors.clip(0, 255).astype(np.uint8)


def maps(count: int, level: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(4, level / 4, (count, 16, 16)).astype(np.float32)


def describe(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """By scikit-image, which a detector's networks agree with (below)."""
    lab = rgb2lab(images)
    color = [lab[..., 0].mean(axis=(1, 2)), np.hypot(lab[..., 1], lab[..., 2]).mean(axis=(1, 2))]
    return statistics(np.stack(color, axis=1), maps)


@pytest.mark.parametrize("project", ["attending", "ensemble"])
def test_statistics_are_those_of_scikit_image(project, request):
    some = images(5, 1, seed=1).repeat(2, axis=1).repeat(2, axis=2)
    judged = Detector.load(request.getfixturevalue(project).root / paths.DETECTOR, "cpu").predict(some)
    found, ones = judged.statistics, judged.maps
    lab = rgb2lab(some)
    np.testing.assert_allclose(found[:, 0], lab[..., 0].mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], np.hypot(lab[..., 1], lab[..., 2]).mean(axis=(1, 2)), rtol=1e-3)
    np.testing.assert_allclose(found[:, 2], ones.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[:, 3], [np.percentile(one, 99) for one in ones], rtol=1e-5)


def test_of_no_image_there_are_no_statistics():
    assert describe(images(0, 1, seed=1), maps(0, 6, seed=2)).shape == (0, len(STATISTICS))


@pytest.mark.parametrize(
    ("brightness", "level", "far"),
    [(1, 6, set()), (1.5, 6, {"lightness", "chroma"}), (1, 12, {"map mean", "map 99th percentile"})],
)
def test_what_changed_is_what_is_far(brightness, level, far):
    known = describe(images(150, 1, seed=1), maps(150, 6, seed=2))
    new = describe(images(40, brightness, seed=3), maps(40, level, seed=4))
    drifts = compare(known, new, np.zeros(40, bool))
    assert [drift.statistic for drift in drifts] == list(STATISTICS)
    assert {drift.statistic for drift in drifts if drift.is_far} == far


def test_anomalous_images_may_have_other_maps_and_few_images_tell_nothing():
    known = describe(images(150, 1, seed=1), maps(150, 6, seed=2))
    new = np.concatenate(
        [
            describe(images(30, 1, seed=3), maps(30, 6, seed=4)),
            describe(images(30, 1, seed=5), maps(30, 25, seed=6)),
        ]
    )
    anomalous = np.repeat([False, True], 30)
    assert not any(drift.is_far for drift in compare(known, new, anomalous))
    assert any(drift.is_far for drift in compare(known, new, ~anomalous))
    assert compare(known, new[:7], anomalous[:7]) == []


def test_of_images_of_the_same_kind_few_are_called_far():
    known = describe(images(150, 1, seed=1), maps(150, 6, seed=2))
    far = 0
    for seed in range(100):
        new = describe(images(20, 1, seed=10 + seed), maps(20, 6, seed=500 + seed))
        far += any(drift.is_far for drift in compare(known, new, np.zeros(20, bool)))
    assert far <= 2
