"""How unlike the maps of normal images a map is: a detector that no anomalous image is needed for.

What says so is fixed beforehand. A map is standardised: where normal maps are high, as at the rim of an object, a
high value says little. Of it three means are taken, since an anomaly may be everywhere, in a few pixels, or in one
place: a mean of all drowns a small one, and the highest pixels are noise where it is faint. The largest counts.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanet.core.arrays import ArrayFile

HIGHEST = 0.01  # of a map's pixels
PLACE = 1 / 8  # of a map's side; mean and deviation of normal maps are smoothed as wide, since there may be ten
NOTICED = 1.0  # ΔE₀₀, which an eye just notices: no deviation is taken for less
LEAST = 1e-3  # of a deviation that is divided by


def statistics(maps: Tensor) -> Tensor:
    """Of maps (N, side, side) the means (N, 3) of all pixels, of the highest ones, and of the highest place.

    A place is a square of PLACE of the side.
    """
    flat = maps.flatten(1)
    highest = flat.topk(max(1, round(HIGHEST * flat.shape[1])), dim=1).values
    square = max(1, round(PLACE * maps.shape[-1]))
    places = F.avg_pool2d(maps[:, None], square, stride=max(1, square // 2))
    return torch.stack([flat.mean(dim=1), highest.mean(dim=1), places.flatten(1).amax(dim=1)], dim=1)


class OneClass(nn.Module):
    """By how many deviations the largest statistic of a standardised map is above the mean of normal images.

    place_mean, place_deviation: of normal maps at each place, (side, side) in ΔE₀₀. mean, deviation: of their
    `statistics`, (3,). highest: what comes out for the most unlike of them; what is as unlike has a margin of 0.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        for name, shape in (("place_mean", (side, side)), ("place_deviation", (side, side))):
            self.register_buffer(name, torch.zeros(shape))
        for name, size in (("mean", 3), ("deviation", 3), ("highest", 1)):
            self.register_buffer(name, torch.zeros(size))

    @classmethod
    def fit(cls, maps: ArrayFile | np.ndarray, normal: np.ndarray) -> "OneClass":
        """To the maps (N, side, side) at the indices `normal`, one or more, of normal images; in ΔE₀₀."""
        fitted = cls(maps.shape[1])
        mean = sum(one.double() for one in each(maps, normal))[0] / len(normal)
        spread = sum((one.double() - mean) ** 2 for one in each(maps, normal))[0] / len(normal)
        fitted.place_mean = _smooth(mean).float()
        fitted.place_deviation = _smooth(spread).sqrt().clamp(min=NOTICED).float()
        known = torch.cat([statistics(fitted.standardised(one)) for one in each(maps, normal)])
        fitted.mean, fitted.deviation = known.mean(dim=0), known.std(dim=0, correction=0) + LEAST
        fitted.highest = fitted._largest(known).amax(dim=0, keepdim=True)
        return fitted

    def standardised(self, maps: Tensor) -> Tensor:
        """Maps (N, side, side) in deviations of normal ones at each place."""
        return (maps - self.place_mean) / self.place_deviation

    def forward(self, maps: Tensor) -> Tensor:
        """Margins (N,) of maps (N, side, side), above 0 for what is more unlike than all that it knows."""
        return self._largest(statistics(self.standardised(maps))) - self.highest

    def _largest(self, known: Tensor) -> Tensor:
        return ((known - self.mean) / self.deviation).amax(dim=1)


def _smooth(of_places: Tensor) -> Tensor:
    """A moving mean, (side, side)."""
    reach = round(PLACE * len(of_places) / 2)
    padded = F.pad(of_places[None, None], (reach,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * reach + 1, stride=1)[0, 0]


def scores(maps: ArrayFile | np.ndarray, normal: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Scores (M,) in [0, 1] of the maps `test`, above 0.5 where one is more unlike than all the maps `normal`.

    maps: (N, side, side), in ΔE₀₀. normal, test: indices; normal ones are of normal images.
    """
    fitted = OneClass.fit(maps, normal)
    margins = torch.cat([fitted(one) for one in each(maps, test)])
    return torch.sigmoid(margins).numpy().astype(np.float64)


def each(maps: ArrayFile | np.ndarray, chosen: np.ndarray) -> Iterator[Tensor]:
    """The maps `chosen`, by their indices, one at a time, (1, side, side) in float32."""
    return (torch.from_numpy(maps[i : i + 1].astype(np.float32)) for i in chosen)
