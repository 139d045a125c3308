"""What tells the classes apart without a look at the object: light, camera, day, file.

A network wins by a shortcut where there is one (Noyan 2022, "Uncovering bias in the PlantVillage dataset",
arXiv 2206.04374). Each property is asked alone how well it ranks anomalous images above normal ones.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from scipy.ndimage import laplace
from scipy.stats import mannwhitneyu
from skimage.color import rgb2gray
from sklearn.metrics import roc_auc_score

from leanet.evaluation.baselines import forest_scores, lab_histograms, lab_ranges
from leanet.images.sampling import assign_folds

BORDER = "border colours"
FOLDS = 5
LEVEL = 0.05  # of a false word about any of the properties


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


def find(files: list[Path], images: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> list[Property]:
    """Every property that differs among the images, the strongest first.

    files: N of them. images: the same decoded, uint8 (N, side, side, 3). labels: (N,), 1 anomalous. groups: (N,)
    numbers; images of one group are never on both sides of a fold.

    Raises:
        InputError: a class has fewer images or groups than FOLDS.
    """
    values = {BORDER: _border(images, labels, groups)} | _of_pixels(images) | _of_files(files, labels)
    values = {name: each for name, each in values.items() if np.ptp(each)}
    return sorted(
        (_rank(name, each, labels, len(values)) for name, each in values.items()), key=lambda one: -one.auroc
    )


def _rank(name: str, values: np.ndarray, labels: np.ndarray, tests: int) -> Property:
    auroc = roc_auc_score(labels, values)
    p = mannwhitneyu(values[labels == 1], values[labels == 0]).pvalue
    return Property(name, float(max(auroc, 1 - auroc)), float(min(1, tests * p)))


def _border(images: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Scores (N,) by the baseline border-histogram; each image by a forest that never saw it."""
    scores = np.empty(len(labels))
    folds = assign_folds(labels, groups, FOLDS, seed=0)
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        histograms = lab_histograms(images, lab_ranges(images, train, border=True), border=True)
        scores[test] = forest_scores(histograms[train], labels[train], histograms[test], seed=0)
    return scores


def _of_pixels(images: np.ndarray) -> dict[str, np.ndarray]:
    grey = [rgb2gray(image) for image in images]
    return {
        "brightness": np.array([image.mean() for image in grey]),
        "contrast": np.array([image.std() for image in grey]),
        "sharpness": np.array([laplace(image).std() for image in grey]),
    }


def _of_files(files: list[Path], labels: np.ndarray) -> dict[str, np.ndarray]:
    """What names and headers say. Of a kind, a value is whether it is the one that most normal images have."""
    sizes, days, cameras = [], [], []
    for file in files:
        with Image.open(file) as image:
            exif = image.getexif()
            sizes.append(image.size)
        taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal) or exif.get(
            ExifTags.Base.DateTime
        )
        days.append(_seconds(taken))
        cameras.append(exif.get(ExifTags.Base.Model))
    width, height = np.array(sizes, float).T
    bytes_ = np.array([file.stat().st_size for file in files])
    found = {
        "width": width,
        "height": height,
        "bytes per pixel": bytes_ / (width * height),
        "file type": _most_common([file.suffix.lower() for file in files], labels),
        "camera": _most_common(cameras, labels),
    }
    return found | ({"date taken": np.array(days)} if None not in days else {})


def _most_common(kinds: list, labels: np.ndarray) -> np.ndarray:
    of_normal = Counter(kind for kind, label in zip(kinds, labels, strict=True) if not label)
    ((most, _),) = of_normal.most_common(1)
    return np.array([float(kind == most) for kind in kinds])


def _seconds(taken: object) -> float | None:
    try:
        return datetime.strptime(str(taken), "%Y:%m:%d %H:%M:%S").timestamp()
    except ValueError:
        return None
