"""Whether new images are of the kind that a detector knows."""

from dataclasses import dataclass

import numpy as np

STATISTICS = ("lightness", "chroma", "map mean", "map 99th percentile")  # L*, C*, and twice ΔE₀₀
FEWEST = 8  # images: no shift of fewer is told from chance
UNLIKELY, FAR = 0.001, 0.3  # a p value below and a distance above these are a warning
SHARES = np.linspace(0, 1, 41)  # of anomalous images among the new ones, which nobody knows


def statistics(color: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """STATISTICS (N, 4) of images: means of L* and C* (N, 2), and anomaly maps (N, side, side)."""
    flat = maps.reshape(len(maps), maps.shape[1] * maps.shape[2])  # of no image, too
    return np.column_stack([color, flat.mean(axis=1), np.percentile(flat, 99, axis=1)]).astype(np.float32)


@dataclass(frozen=True)
class Drift:
    """How one statistic of new images lies to that of the training images.

    known, new: medians. distance: the largest between both distribution functions (Kolmogorov-Smirnov), 0 to 1,
    where as many of the training images are anomalous as fits the new ones best. p: how likely a larger one is
    by chance, or less likely than that.
    """

    statistic: str
    known: float
    new: float
    distance: float
    p: float

    @property
    def is_far(self) -> bool:
        return self.p < UNLIKELY and self.distance > FAR

    def __str__(self) -> str:
        return (
            f"{self.statistic} {self.new:.1f}, of the training images {self.known:.1f} (medians; "
            f"Kolmogorov-Smirnov distance {self.distance:.2f}, p {self.p:.1g})"
        )


def compare(known: np.ndarray, labels: np.ndarray, new: np.ndarray) -> list[Drift]:
    """A Drift for each of STATISTICS; none of fewer than FEWEST images.

    known: (M, 4) of training images, by the very networks that judge the new ones; labels: (M,) of 0 and 1, some
    of 0. new: (N, 4). What is anomalous among the new images does not count as drift, however much it is: of
    all shares of anomalous images, the training images are weighted by the one that comes nearest to the new ones.
    """
    if len(new) < FEWEST:
        return []
    return [Drift(name, *_nearest(known[:, at], labels, new[:, at])) for at, name in enumerate(STATISTICS)]


def _nearest(known: np.ndarray, labels: np.ndarray, new: np.ndarray) -> tuple[float, float, float, float]:
    """Medians of known and new values, their distance at the best of SHARES, and its p."""
    from scipy.special import kolmogorov  # 0.3 s, which one image need not wait for

    places = np.sort(np.concatenate([known, new]))
    below = [
        np.searchsorted(np.sort(values), places, side="right") / max(1, len(values))
        for values in (known[labels == 0], known[labels == 1], new)
    ]
    anomalous = int(labels.sum())
    shares = SHARES if anomalous else SHARES[:1]
    mixtures = below[0] + shares[:, None] * (below[1] - below[0])
    distances = np.abs(mixtures - below[2]).max(axis=1)
    best = int(distances.argmin())
    share, distance = shares[best], float(distances[best])
    # As many images as a mean with these weights is worth (Kish 1965).
    worth = 1 / ((1 - share) ** 2 / (len(labels) - anomalous) + share**2 / max(1, anomalous))
    p = float(kolmogorov(np.sqrt(worth * len(new) / (worth + len(new))) * distance))
    median = places[np.searchsorted(mixtures[best], 0.5)]
    return float(median), float(np.median(new)), distance, p
