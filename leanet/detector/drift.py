"""Whether new images are of the kind that a detector knows."""

from dataclasses import dataclass

import numpy as np

STATISTICS = ("lightness", "chroma", "map mean", "map 99th percentile")  # L*, C*, and twice ΔE₀₀
OF_MAPS = (2, 3)
FEWEST = 8  # images: no shift of fewer is told from chance
UNLIKELY, FAR = 0.001, 0.3  # a p value below and a distance above these are a warning


def statistics(color: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """STATISTICS (N, 4) of images: means of L* and C* (N, 2), and anomaly maps (N, side, side)."""
    flat = maps.reshape(len(maps), maps.shape[1] * maps.shape[2])  # of no image, too
    return np.column_stack([color, flat.mean(axis=1), np.percentile(flat, 99, axis=1)]).astype(np.float32)


@dataclass(frozen=True)
class Drift:
    """How one statistic of new images lies to that of the training normals.

    distance: the largest between both distribution functions (two-sample Kolmogorov-Smirnov), 0 to 1.
    """

    statistic: str
    known: float  # medians
    new: float
    distance: float
    p: float

    @property
    def is_far(self) -> bool:
        return self.p < UNLIKELY and self.distance > FAR

    def __str__(self) -> str:
        return (
            f"{self.statistic} {self.new:.1f}, of the normal training images {self.known:.1f} (medians; "
            f"Kolmogorov-Smirnov distance {self.distance:.2f}, p {self.p:.1g})"
        )


def compare(known: np.ndarray, new: np.ndarray, called: np.ndarray) -> list[Drift]:
    """A Drift for each of STATISTICS that there are images enough for.

    known: (M, 4) of the normal training images, their maps made by colourisers that did not know them. new: (N, 4)
    of new ones. called: (N,) bool, which of them the detector calls anomalous: those shall have other maps.
    """
    if len(new) < FEWEST:
        return []
    from scipy.stats import ks_2samp  # here: it takes as long to load as all else that judges an image

    drifts = []
    for column, name in enumerate(STATISTICS):
        chosen = new[~called, column] if column in OF_MAPS else new[:, column]
        if len(chosen) >= FEWEST:
            test = ks_2samp(known[:, column], chosen)
            medians = float(np.median(known[:, column])), float(np.median(chosen))
            drifts.append(Drift(name, *medians, float(test.statistic), float(test.pvalue)))
    return drifts
