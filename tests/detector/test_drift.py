"""Whether new images are of the kind that a detector knows."""

import numpy as np
import pytest
from scipy.stats import ks_2samp
from skimage.color import rgb2lab

from leanet.core import paths
from leanet.detector import drift
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


def leaves(normal: int, anomalous: int, seed: int, brightness: float = 1, level: float = 6) -> np.ndarray:
    """Statistics of images whose maps are four times as hot where they are anomalous."""
    draws = [
        describe(
            images(count, brightness, seed=2 * seed + kind),
            maps(count, level * 4**kind, seed=1000 + 2 * seed + kind),
        )
        for kind, count in enumerate((normal, anomalous))
    ]
    return np.concatenate(draws)


KNOWN = leaves(150, 50, seed=1), np.repeat([0, 1], [150, 50])


@pytest.mark.parametrize(
    ("changed", "far"),
    [
        ({}, set()),
        ({"brightness": 1.5}, {"lightness", "chroma"}),
        ({"level": 12}, {"map mean", "map 99th percentile"}),
        ({"level": 3}, {"map mean", "map 99th percentile"}),
    ],
)
@pytest.mark.parametrize("anomalous", [0, 10, 40])
def test_what_changed_is_what_is_far(changed, far, anomalous):
    drifts = compare(*KNOWN, leaves(60, anomalous, seed=3, **changed))
    assert [drift.statistic for drift in drifts] == list(STATISTICS)
    assert {drift.statistic for drift in drifts if drift.is_far} == far


@pytest.mark.parametrize("normal", [0, 4, 20, 200])
@pytest.mark.parametrize("anomalous", [0, 4, 20, 200])
def test_whatever_share_is_anomalous_is_no_drift(normal, anomalous):
    assert not any(drift.is_far for drift in compare(*KNOWN, leaves(normal, anomalous, seed=4)))


def test_few_images_tell_nothing():
    far = leaves(20, 0, seed=3, brightness=1.5)
    assert compare(*KNOWN, far[:7]) == []
    assert any(drift.is_far for drift in compare(*KNOWN, far[:20]))


def test_the_distance_is_that_of_scipy_where_the_share_is_known(monkeypatch):
    new = leaves(60, 0, seed=5, brightness=1.03)
    monkeypatch.setattr(drift, "SHARES", np.array([0.0]))
    for column, found in enumerate(compare(*KNOWN, new)):
        test = ks_2samp(KNOWN[0][:150, column], new[:, column], method="asymp")
        assert found.distance == pytest.approx(test.statistic)
        assert found.p == pytest.approx(test.pvalue, rel=0.5)  # by the limit for many images; scipy by so many
        assert found.p >= 0.9 * test.pvalue


def test_of_1000_batches_of_the_same_kind_at_most_one_in_a_hundred_is_called_far():
    """Of any share of anomalous images, and beside as few training images as there often are."""
    draw, far = np.random.default_rng(0), 0
    normal, anomalous = leaves(2000, 0, seed=6), leaves(0, 2000, seed=7)

    def drawn(normals: int, anomalies: int) -> np.ndarray:
        return np.concatenate([draw.permutation(normal)[:normals], draw.permutation(anomalous)[:anomalies]])

    for _ in range(1000):
        count = draw.integers(8, 200)
        share = draw.binomial(count, draw.random())
        drifts = compare(drawn(80, 15), np.repeat([0, 1], [80, 15]), drawn(count - share, share))
        far += any(each.is_far for each in drifts)
    assert far <= 10
