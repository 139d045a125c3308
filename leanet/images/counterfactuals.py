"""Images that ask where a network looks: without their object, or with the surroundings of another class.

`blurred`: the object, or the middle where it is not known, is blurred away: only its surroundings are left,
smoothly continued. A network that looks at the object then knows nothing. `exchanged`: the object on the
surroundings of an image of the other class. Its verdict should not change.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from leanet.core.arrays import ArrayFile
from leanet.images.imageset import ImageSet, open_sealed

KINDS = ("blurred", "exchanged")
ASKED = "asked.txt"  # indices of images, a line each
MOST = 50  # images of a class and fold that are asked about: a share of 250 images is known to 0.03
MARGIN = 1 / 64  # of the side: around an object nothing is taken for its surroundings, but may be its rim
REACH = 1 / 8  # of the side: how far surroundings are continued at first


@dataclass(frozen=True)
class Counterfactuals:
    """asked: (A,), indices of images. images: by KINDS, uint8 (A, side, side, 3). maps: of these, float16
    (A, side, side), once they are made.
    """

    asked: np.ndarray
    images: dict[str, ArrayFile]
    maps: dict[str, ArrayFile]

    def of_fold(self, data: ImageSet, fold: int) -> np.ndarray:
        """The places among `asked` of those that `fold` tests, in the first repeat."""
        return np.flatnonzero(data.first_tested_in[self.asked] == fold)


def load(split: Path, maps: Path | None = None) -> Counterfactuals:
    """Those that stage `split` wrote to the folder `split`, and their maps that `anomaly_maps` wrote to `maps`.

    Raises:
        InputError: a stage has not run; an array is damaged.
    """
    images = {kind: open_sealed(split / f"{kind}.npy", "split") for kind in KINDS}
    return Counterfactuals(
        np.array((split / ASKED).read_text().split(), int),
        images,
        {kind: open_sealed(maps / f"{kind}.npy", "anomaly_maps") for kind in KINDS} if maps else {},
    )


def write(data: ImageSet, border: float, seed: int, folder: Path) -> None:
    """Make those of the first repeat's test images, of each fold MOST of each class, in `folder`.

    None where there is no row of networks to ask (leanet.images.imageset.ImageSet.has_both).
    """
    of_folds = []
    for fold in range(data.folds_per_repeat if data.has_both else 0):
        of_folds.append(np.sort(data.examples(fold, positives=MOST, negatives=MOST)))
    asked = np.concatenate([*of_folds, np.zeros(0, int)])
    np.savetxt(folder / ASKED, asked, "%d")
    arrays = {
        kind: ArrayFile.create(folder / f"{kind}.npy", np.uint8, (len(asked), *data.images.shape[1:]))
        for kind in KINDS
    }
    start = 0
    for fold, chosen in enumerate(of_folds):
        around = np.stack([data.around(i, border) for i in chosen])
        made = make(data.images[chosen], around, data.labels[chosen], seed + fold)
        for kind, images in made.items():
            arrays[kind][start : start + len(chosen)] = images
        start += len(chosen)


def blur_away(image: np.ndarray, around: np.ndarray) -> np.ndarray:
    """uint8 (side, side, 3): `image` where `around`, bool (side, side), and its blurred continuation elsewhere and
    within MARGIN of that.

    A mean of the known pixels, weighted by a Gaussian (normalized convolution, Knutsson & Westin 1993).
    """
    around = ~ndimage.binary_dilation(~around, iterations=max(1, round(MARGIN * len(image))))
    if not around.any():
        return np.full_like(image, image.reshape(-1, 3).mean(axis=0).round())
    weight, total = around.astype(float), image * around[..., None].astype(float)
    reach = REACH * len(image)
    near = ndimage.gaussian_filter(weight, reach, mode="nearest")
    blurred = (
        ndimage.gaussian_filter(total, (reach, reach, 0), mode="nearest") / np.maximum(near, 1e-12)[..., None]
    )
    mean = total.sum((0, 1)) / weight.sum()
    blurred = np.where(near[..., None] > 1e-3, blurred, mean)  # too far from anything known
    return np.where(around[..., None], image, blurred.round().clip(0, 255).astype(np.uint8))


def make(images: np.ndarray, around: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The counterfactuals of images that are tested together, by KINDS: uint8 (N, side, side, 3) each.

    images: uint8 (N, side, side, 3). around: bool (N, side, side), where the object is not. labels: (N,), both
    classes among them.
    """
    blurred = np.stack([blur_away(*each) for each in zip(images, around, strict=True)])
    draw = np.random.default_rng(seed)
    others = [draw.choice(np.flatnonzero(labels != label)) for label in labels]
    exchanged = [
        np.where(out[..., None], blurred[other], image)
        for image, out, other in zip(images, around, others, strict=True)
    ]
    return {"blurred": blurred, "exchanged": np.stack(exchanged)}
