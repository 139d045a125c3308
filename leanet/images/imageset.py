"""The images of a data set as one array, with their labels and folds: what every later stage reads."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.core.files import sha256
from leanet.images.preparation import LARGEST, outside

SUMS = "SHA256SUMS"  # in a folder of arrays
UNKNOWN = 255  # in a mask: an anomalous image without ground truth


@dataclass(frozen=True)
class ImageSet:
    """A sampled data set, cut into folds.

    images: uint8 (N, side, side, 3), sRGB, read from disk where rows are asked for.
    manifest: N rows with path (in the raw set), sha256 (of the file), width and height (of the file,
        in pixels), label (1 anomalous), group (images of one
        number stay in one fold), and the fold that the image is tested in, repeat1; in a second
        cross-validation, repeat2; and so on. Folds are counted on: those of repeat 2 follow those of repeat 1.
    objects: uint8 (N, side, side), 1 where the object is, all over an image where it is not known; None where no
        image's is.
    """

    images: ArrayFile | np.ndarray
    manifest: pd.DataFrame
    objects: ArrayFile | np.ndarray | None = None

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) of 0 (normal) and 1 (anomalous)."""
        return self.manifest["label"].to_numpy()

    @property
    def side(self) -> int:
        """Pixels along an image's side."""
        return self.images.shape[1]

    @cached_property
    def _fold_of(self) -> np.ndarray:
        """(repeats, N): the fold that each image is tested in, counted on."""
        columns = self.manifest.filter(regex=r"^repeat\d+$").to_numpy().T
        return columns + np.arange(len(columns))[:, None] * (columns.max() + 1)

    @property
    def folds(self) -> range:
        """The numbers of the folds, of all repeats."""
        return range(int(self._fold_of.max()) + 1)

    @property
    def folds_per_repeat(self) -> int:
        """How many folds make one cross-validation."""
        return int(self._fold_of[0].max()) + 1

    def tested_in(self, repeat: int) -> np.ndarray:
        """(N,): the fold of the repeat, counted from 0, that each image is tested in."""
        return self._fold_of[repeat]

    @property
    def first_tested_in(self) -> np.ndarray:
        """(N,): the fold of the first repeat that each image is tested in."""
        return self.tested_in(0)

    @cached_property
    def has_both(self) -> bool:
        """Whether each fold leaves normal and anomalous images to learn from: if not, no row is trained."""
        return len(np.unique(self.first_tested_in[self.labels == 1])) > 1

    def around(self, image: int, border: float) -> np.ndarray:
        """Where the object of an image is not, bool (side, side) (leanet.images.preparation.outside)."""
        object_ = None if self.objects is None else self.objects[image] == 1
        known = object_ is not None and object_.mean() <= LARGEST  # else next to nothing is around it
        return outside(object_ if known else None, self.side, border)

    def tested(self, fold: int) -> np.ndarray:
        """Indices of the images that fold `fold` is scored on; nothing is ever fitted to them there."""
        return np.flatnonzero((self._fold_of == fold).any(axis=0))

    def trained(self, fold: int) -> np.ndarray:
        """Indices of the images that fold `fold` may be fitted to."""
        return np.flatnonzero((self._fold_of != fold).all(axis=0))

    def normals(self, *left_out: int) -> np.ndarray:
        """Indices of the normal images that are tested in none of the folds `left_out`."""
        return np.flatnonzero((~np.isin(self._fold_of, left_out)).all(axis=0) & (self.labels == 0))

    def examples(self, fold: int, positives: int, negatives: int) -> np.ndarray:
        """Indices of the first few images tested in `fold`, anomalous ones first, for pictures."""
        tested = self.tested(fold)
        by_label = [tested[self.labels[tested] == label] for label in (1, 0)]
        return np.concatenate([by_label[0][:positives], by_label[1][:negatives]])


def folds_of(manifest: pd.DataFrame) -> int:
    """How many folds make one cross-validation of a set with this list of images."""
    return int(manifest["repeat1"].max()) + 1


def load(folder: Path) -> ImageSet:
    """Read what stage `split` wrote to `folder`.

    Raises:
        InputError: the stage has not run; the array is damaged.
    """
    open_sealed(folder / "images.npy", "split")
    if (folder / "objects.npy").exists():
        open_sealed(folder / "objects.npy", "split")
    return read(folder)


def read(folder: Path) -> ImageSet:
    """The same while the stage still writes, before the arrays are sealed."""
    objects = folder / "objects.npy"
    return ImageSet(
        ArrayFile(folder / "images.npy"), read_manifest(folder), ArrayFile(objects) if objects.exists() else None
    )


def read_manifest(folder: Path) -> pd.DataFrame:
    """The manifest that stage `split` wrote to `folder`."""
    return pd.read_csv(folder / "manifest.csv", dtype={"path": str, "sha256": str}, keep_default_na=False)


def load_maps(folder: Path, fold: int, images: ImageSet) -> ArrayFile:
    """The anomaly maps of all `images` for the networks of `fold`: float16 (N, side, side), ΔE₀₀.

    Raises:
        InputError: the stage has not run, or ran on other images; the array is damaged.
    """
    file = folder / f"fold{fold}.npy"
    maps = open_sealed(file, "anomaly_maps")
    if maps.shape != images.images.shape[:3]:
        raise InputError(
            f"{file}: holds maps of {'×'.join(map(str, maps.shape))}, expected "
            f"{'×'.join(map(str, images.images.shape[:3]))}; run `dvc repro anomaly_maps`"
        )
    return maps


def seal(folder: Path) -> None:
    """Note the hashes of the arrays in `folder`, in the format of `sha256sum`."""
    lines = [f"{sha256(file)}  {file.name}\n" for file in sorted(folder.glob("*.npy"))]
    (folder / SUMS).write_text("".join(lines))


def open_sealed(file: Path, stage: str) -> ArrayFile:
    """An array that `stage` wrote and sealed. DVC looks at times and sizes alone: here a decayed byte is found.

    Raises:
        InputError: it is not there, or not what was written.
    """
    try:
        lines = (file.parent / SUMS).read_text().splitlines()
        whole = f"{sha256(file)}  {file.name}" in lines
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not found; run `dvc repro {stage}`") from None
    if not whole:
        raise InputError(f"{file} is damaged; remove {file.parent}, and `dvc repro` brings it back")
    return ArrayFile(file)


def load_masks(folder: Path) -> np.ndarray | None:
    """Ground truth, uint8 (N, side, side): 1 where anomalous, UNKNOWN all over an anomalous image without a mask.

    None if the set has no masks.
    """
    file = folder / "masks.npy"
    return open_sealed(file, "split")[:] if file.exists() else None
