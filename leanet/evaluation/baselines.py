"""Detectors that cost a second, for every row of networks to be measured against.

`lab-histogram`: how often each colour occurs, and a random forest. `border-histogram`: the same of what surrounds
the object alone, or of the outermost pixels: what it finds is a shortcut, such as another light.
`map-threshold`: the anomaly map by itself, the unsupervised detector of section 3-1, with a threshold fitted on
training images. `map-one-class`: the map by how unlike those of normal images it is, which needs no anomalous
image (leanet.color.one_class).
"""

from collections.abc import Callable

import numpy as np
from skimage.color import rgb2lab
from sklearn.ensemble import RandomForestClassifier

from leanet.attention.rows import MAP_ONE_CLASS
from leanet.core.arrays import ArrayFile
from leanet.evaluation.rates import best_threshold

# By the names that they go by beside the rows.
LAB_HISTOGRAM = "lab-histogram"
BORDER_HISTOGRAM = "border-histogram"
MAP_THRESHOLD = "map-threshold"
BASELINES = (LAB_HISTOGRAM, BORDER_HISTOGRAM, MAP_THRESHOLD, MAP_ONE_CLASS)

BINS = (4, 8, 8)  # of L*, a*, b*
RARE = 1  # percent of pixels beyond each end of the bins' range; they count in the last bin
SIDE = 64  # of an image's side no more pixels are looked at than this
TREES = 300


Looked = Callable[[int], np.ndarray] | None  # the pixels of an image that count, bool (side, side); None: all


def lab_ranges(images: ArrayFile | np.ndarray, chosen: np.ndarray, looked: Looked = None) -> np.ndarray:
    """The range of L*, a* and b* (3, 2) in the images `chosen`, but for RARE pixels at each end.

    looked: from an image's index to the pixels that count.
    """
    pixels = np.concatenate([_lab_pixels(images, i, looked)[::16] for i in chosen])
    return np.percentile(pixels, [RARE, 100 - RARE], axis=0).T


def lab_histograms(images: ArrayFile | np.ndarray, ranges: np.ndarray, looked: Looked = None) -> np.ndarray:
    """Joint L*a*b* histograms of images, uint8 (N, side, side, 3): the roots of shares, (N, 256) in [0, 1].

    looked: as in `lab_ranges`.
    """
    # A colour that all pixels share has no range.
    low, high = ranges.T
    ranges = np.stack([low, np.maximum(high, low + 1)], axis=1)
    features = []
    for i in range(len(images)):
        pixels = np.clip(_lab_pixels(images, i, looked), *ranges.T)
        counts, _ = np.histogramdd(pixels, BINS, ranges)
        features.append(np.sqrt(counts.ravel() / len(pixels)))
    return np.array(features)


def _lab_pixels(images: ArrayFile | np.ndarray, i: int, looked: Looked) -> np.ndarray:
    """L*a*b* of the pixels that count, (P, 3)."""
    step = max(1, images.shape[1] // SIDE)
    pixels = images[i][::step, ::step]
    return rgb2lab(pixels if looked is None else pixels[looked(i)[::step, ::step]]).reshape(-1, 3)


def histogram_scores(
    images: ArrayFile | np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    seed: int,
    looked: Looked = None,
) -> np.ndarray:
    """Scores (M,) in [0, 1] of the images `test` by a forest on the histograms of the images `train`.

    images: uint8 (N, side, side, 3). labels: (N,). train, test: indices. looked: as in `lab_ranges`.
    """
    histograms = lab_histograms(images, lab_ranges(images, train, looked), looked)
    return forest_scores(histograms[train], labels[train], histograms[test], seed)


def forest_scores(train: np.ndarray, labels: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Scores (M,) in [0, 1] of `test` features (M, F) by a random forest of `train` (N, F) and `labels` (N,)."""
    forest = RandomForestClassifier(TREES, random_state=seed)
    return forest.fit(train, labels).predict_proba(test)[:, 1]


def map_statistics(maps: ArrayFile | np.ndarray) -> np.ndarray:
    """The mean and the 99th percentile of anomaly maps (N, side, side): (N, 2), in ΔE₀₀.

    A mean is for anomalies that are everywhere, a high percentile for small ones, which a mean would drown;
    the maximum would be one pixel's noise.
    """
    floats = (maps[i].astype(np.float32) for i in range(len(maps)))
    return np.array([(one.mean(), np.percentile(one, 99)) for one in floats])


def threshold_scores(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Scores (M,) in [0, 1], above 0.5 where the statistic is above a threshold t: s / (s + t).

    Of the statistics, columns of `train` (N, 2) and `test` (M, 2), and of all thresholds, those of the highest
    F1 on `train`.
    """
    best = max((best_threshold(labels, column), i) for i, column in enumerate(train.T))
    (_, threshold), column = best
    return test[:, column] / (test[:, column] + threshold)
