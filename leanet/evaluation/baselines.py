"""Detectors that cost a second, for every row of networks to be measured against.

`lab-histogram`: how often each colour occurs, and a random forest. `border-histogram`: the same of the outermost
pixels alone, where the object is not: what it finds is a shortcut, such as another light.
`map-threshold`: the anomaly map by itself, the unsupervised detector of section 3-1, with a threshold fitted on
training images.
"""

import numpy as np
from skimage.color import rgb2lab
from sklearn.ensemble import RandomForestClassifier

from leanet.core.arrays import ArrayFile
from leanet.evaluation.scores import best_threshold

# By the names that they go by beside the rows.
LAB_HISTOGRAM = "lab-histogram"
BORDER_HISTOGRAM = "border-histogram"
MAP_THRESHOLD = "map-threshold"
BASELINES = (LAB_HISTOGRAM, BORDER_HISTOGRAM, MAP_THRESHOLD)

BINS = (4, 8, 8)  # of L*, a*, b*
RARE = 1  # percent of pixels beyond each end of the bins' range; they count in the last bin
SIDE = 64  # of an image's side no more pixels are looked at than this
BORDER = 1 / 20  # of an image's side: how wide the band of its outermost pixels is
TREES = 300


def lab_ranges(images: ArrayFile | np.ndarray, chosen: np.ndarray, *, border: bool = False) -> np.ndarray:
    """The range of L*, a* and b* (3, 2) in the images `chosen`, but for RARE pixels at each end.

    border: look at the outermost pixels alone.
    """
    pixels = np.concatenate([_lab_pixels(images[i], border)[::16] for i in chosen])
    return np.percentile(pixels, [RARE, 100 - RARE], axis=0).T


def lab_histograms(images: ArrayFile | np.ndarray, ranges: np.ndarray, *, border: bool = False) -> np.ndarray:
    """Joint L*a*b* histograms of images, uint8 (N, side, side, 3): the roots of shares, (N, 256) in [0, 1].

    border: of the outermost pixels alone.
    """
    features = []
    for i in range(len(images)):
        pixels = np.clip(_lab_pixels(images[i], border), *ranges.T)
        counts, _ = np.histogramdd(pixels, BINS, ranges)
        features.append(np.sqrt(counts.ravel() / len(pixels)))
    return np.array(features)


def _lab_pixels(image: np.ndarray, border: bool) -> np.ndarray:
    step = max(1, len(image) // SIDE)
    pixels = image[::step, ::step]
    if not border:
        return rgb2lab(pixels).reshape(-1, 3)
    outermost = np.ones(pixels.shape[:2], bool)
    width = max(1, round(BORDER * len(pixels)))
    outermost[width:-width, width:-width] = False
    return rgb2lab(pixels[outermost])


def histogram_scores(
    images: ArrayFile | np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    seed: int,
    border: bool = False,
) -> np.ndarray:
    """Scores (M,) in [0, 1] of the images `test` by a forest on the histograms of the images `train`.

    images: uint8 (N, side, side, 3). labels: (N,). train, test: indices. border: of the outermost pixels alone.
    """
    histograms = lab_histograms(images, lab_ranges(images, train, border=border), border=border)
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
