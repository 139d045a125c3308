import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import call
from skimage.color import rgb2lab
from sklearn.metrics import f1_score

from leanet.evaluation.baselines import (
    BASELINES,
    forest_scores,
    lab_histograms,
    lab_ranges,
    map_statistics,
    threshold_scores,
)
from leanet.images import imageset
from leanet.images.preparation import band
from stages import baselines


def test_histogram_counts_colours_one_by_one():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    ranges = np.array([[20, 80], [-40, 40], [-24, 40]])
    expected = np.zeros((4, 8, 8))
    for lightness, a, b in rgb2lab(image).reshape(-1, 3):
        bins = int((lightness - 20) // 15), int((a + 40) // 10), int((b + 24) // 8)
        expected[tuple(min(max(i, 0), n - 1) for i, n in zip(bins, (4, 8, 8), strict=True))] += 1
    assert np.allclose(lab_histograms(image[None], ranges)[0], np.sqrt(expected / 64).ravel())


def test_the_range_of_bins_is_that_of_the_chosen_images():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    images[4] = 255  # not among them
    lab = rgb2lab(images[:4]).reshape(-1, 3)[::16]
    expected = [np.percentile(channel, [1, 99]) for channel in lab.T]
    assert np.allclose(lab_ranges(images, np.arange(4)), expected)


def test_the_border_histogram_looks_at_the_outermost_pixels_alone():
    """A band of a twentieth of the side: what lies within has no say, what lies on it has."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    inside, on_band = image.copy(), image.copy()
    inside[2:-2, 2:-2] = rng.integers(0, 256, (36, 36, 3))
    on_band[1, 1:-1] = 255 - on_band[1, 1:-1]
    images = np.stack([image, inside, on_band])
    outermost = band(40, 0.05)
    assert outermost.sum() == 4 * 2 * 38
    ranges = lab_ranges(images, np.arange(1), lambda _: outermost)
    assert np.array_equal(ranges, lab_ranges(images, np.array([1]), lambda _: outermost))
    first, same, other = lab_histograms(images, ranges, lambda _: outermost)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert (first**2).sum() == pytest.approx(1)


def test_a_forest_tells_red_from_green():
    rng = np.random.default_rng(0)
    colors = {0: (0, 120, 0), 1: (120, 0, 0)}
    labels = np.array([0, 1] * 20)
    images = np.stack([rng.integers(0, 60, (8, 8, 3)) + colors[label] for label in labels]).astype(np.uint8)
    features = lab_histograms(images, lab_ranges(images, np.arange(30)))
    scores = forest_scores(features[:30], labels[:30], features[30:], seed=0)
    assert ((scores > 0.5) == labels[30:]).all()
    assert 0 <= scores.min() <= scores.max() <= 1


def test_map_statistics_are_mean_and_percentile():
    maps = np.random.default_rng(0).exponential(3, (4, 16, 16)).astype(np.float16)
    expected = [(float(m.astype(float).mean()), np.percentile(m.astype(float), 99)) for m in maps]
    assert np.allclose(map_statistics(maps), expected, rtol=1e-4)


def test_the_threshold_is_fitted_on_training_images():
    """The better statistic and its best threshold, by trying all; what is scored has no say."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40)
    train = np.stack([rng.uniform(1, 2, 40), rng.uniform(1, 2, 40) + 0.7 * labels], axis=1)
    tried = {t: f1_score(labels, train[:, 1] > t) for t in np.linspace(1, 3, 2000)}
    scores = threshold_scores(train, labels, train)
    assert f1_score(labels, scores > 0.5) == pytest.approx(max(tried.values()))
    one = threshold_scores(train, labels, np.array([[1.0, 1.5]]))
    assert one == threshold_scores(train, labels, np.array([[1.0, 1.5], [9.0, 9.0]]))[0]


def test_a_test_image_has_no_say_in_what_its_fold_fits(finished, tmp_path, monkeypatch):
    """Change one test image of fold 0: the others of its fold are scored as before."""
    project = finished.copy(tmp_path / "project")
    monkeypatch.chdir(project.root)
    manifest = pd.read_csv("data/split/leaf/manifest.csv")
    changed = int(np.flatnonzero(manifest["repeat1"] == 0)[0])
    before = {name: pd.read_csv(f"data/cv/leaf/{name}/predictions.csv") for name in BASELINES}
    for file in ("data/split/leaf/images.npy", "data/maps/leaf/fold0.npy"):
        array = np.load(file)
        array[changed] = array[changed][::-1, ::-1] // 2
        np.save(file, array)
        imageset.seal(Path(file).parent)
    call(baselines, "leaf")
    for name in BASELINES:
        after = pd.read_csv(f"data/cv/leaf/{name}/predictions.csv")
        same = (after["fold"] == 0) & (after["path"] != manifest["path"][changed])
        assert after[same].equals(before[name][same])
        assert not after.equals(before[name])


def test_baselines_are_scored_on_the_rows_own_folds_and_shares(finished):
    for name in BASELINES:
        for place, shares in (("cv", {1.0}), ("sweep", {0.5})):
            table = pd.read_csv(finished.root / f"data/{place}/leaf/{name}/predictions.csv")
            row = pd.read_csv(finished.root / f"data/{place}/leaf/cnn/predictions.csv")
            columns = ["path", "label", "fold"]
            assert table[columns].equals(row[columns])
            assert set(table["share"]) == shares
    places = json.loads((finished.root / "data/localization/leaf/folds.json").read_text())
    assert all(0.5 < place["pixel_auroc"] <= 1 for place in places)
