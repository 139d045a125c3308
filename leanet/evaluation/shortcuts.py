"""What tells the classes apart without a look at the object: light, camera, day, file.

A network wins by a shortcut where there is one (Noyan 2022, "Uncovering bias in the PlantVillage dataset",
arXiv 2206.04374). Each property is asked alone how well it ranks anomalous images above normal ones.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import laplace
from scipy.stats import mannwhitneyu
from skimage.color import rgb2gray
from sklearn.metrics import roc_auc_score

from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.evaluation.baselines import histogram_scores
from leanet.evaluation.scores import Figure
from leanet.images.decoding import size, taken
from leanet.images.preparation import band
from leanet.images.sampling import assign_folds

BORDER = 1 / 20  # of the side: the width of the band of outermost pixels
FOLDS = 5  # at most: few images of a class make fewer
LEVEL = 0.05  # of a false word about any of the properties


def border_tells(auroc: Figure) -> bool:
    """Whether the baseline border-histogram, of this AUROC, tells the classes apart by more than chance."""
    return not auroc.undefined and auroc.interval[0] > 0.5


@dataclass(frozen=True)
class Property:
    """How well one property tells the classes apart.

    auroc: from 0.5, chance, to 1, whichever way round. p: by the Mann-Whitney test, times the number of properties
    (Bonferroni).
    """

    name: str
    auroc: float
    p: float

    @property
    def is_shortcut(self) -> bool:
        return self.p < LEVEL


def find(
    files: list[Path],
    images: ArrayFile | np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    objects: ArrayFile | np.ndarray | None = None,
) -> list[Property]:
    """Every property that differs among the images, the strongest first.

    files: N of them. images: the same decoded, uint8 (N, side, side, 3). labels: (N,), 1 anomalous. groups: (N,)
    numbers; images of one group are never on both sides of a fold. objects: uint8 (N, side, side), 1 where the
    object is, if that is known: how much of the image it covers counts as well.

    Raises:
        InputError: a class has one image, or one group, alone.
    """
    values = {"border colours": _border(images, labels, groups)} | _of_pixels(images) | _of_files(files, labels)
    if objects is not None:
        values["size of the object"] = np.array([objects[i].mean() for i in range(len(objects))])
    values = {name: each for name, each in values.items() if np.ptp(each)}
    ranked = [_rank(name, each, labels, len(values)) for name, each in values.items()]
    return sorted(ranked, key=lambda one: -one.auroc)


def _rank(name: str, values: np.ndarray, labels: np.ndarray, tests: int) -> Property:
    auroc = roc_auc_score(labels, values)
    p = mannwhitneyu(values[labels == 1], values[labels == 0]).pvalue
    return Property(name, float(max(auroc, 1 - auroc)), float(min(1, tests * p)))


def _border(images: ArrayFile | np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Scores (N,) by the baseline border-histogram; each image by a forest that never saw it."""
    folds = min(FOLDS, *(len(np.unique(groups[labels == label])) for label in (0, 1)))
    if folds < 2:
        normal, anomalous = ((labels == label).sum() for label in (0, 1))
        raise InputError(
            f"{normal} normal and {anomalous} anomalous images can be read; expected two or more of each, not all "
            "of one group: both classes are compared"
        )
    outermost = band(images.shape[1], BORDER)
    scores, fold_of = np.empty(len(labels)), assign_folds(labels, groups, folds, seed=0)
    for fold in range(folds):
        train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        scores[test] = histogram_scores(images, labels, train, test, seed=0, looked=lambda _: outermost)
    return scores


def _of_pixels(images: ArrayFile | np.ndarray) -> dict[str, np.ndarray]:
    grey = [rgb2gray(images[i]).astype(np.float32) for i in range(len(images))]
    return {
        "brightness": np.array([image.mean() for image in grey]),
        "contrast": np.array([image.std() for image in grey]),
        "sharpness": np.array([laplace(image).std() for image in grey]),
    }


def _of_files(files: list[Path], labels: np.ndarray) -> dict[str, np.ndarray]:
    """What names and headers say. Of a kind, a value is whether it is the one that most normal images have."""
    width, height = np.array([size(file) for file in files], float).T
    dates, cameras = zip(*map(taken, files), strict=True)
    found = {
        "width": width,
        "height": height,
        "bytes per pixel": np.array([file.stat().st_size for file in files]) / (width * height),
        "file type": _most_common([file.suffix.lower() for file in files], labels),
        "camera": _most_common(cameras, labels),
    }
    # As metadata write dates, they sort as texts.
    return found | ({} if None in dates else {"date taken": np.unique(dates, return_inverse=True)[1]})


def _most_common(kinds: Sequence[str | None], labels: np.ndarray) -> np.ndarray:
    of_normal = Counter(kind for kind, label in zip(kinds, labels, strict=True) if not label)
    ((most, _),) = of_normal.most_common(1)
    return np.array([float(kind == most) for kind in kinds])
