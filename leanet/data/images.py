"""Image files: finding them in a set's folders, and the masks that belong to them."""

from pathlib import Path

import numpy as np

from leanet.data.decoding import decode_mask
from leanet.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
CLASSES = ("Negative", "Positive")  # a folder's place is its label: 0 normal, 1 anomalous
MASKS = "Mask"
UNKNOWN = 255  # in a mask: an anomalous image without ground truth


def list_images(root: Path) -> list[tuple[str, int]]:
    """The images under `root` as (relative path with `/`, label), sorted by path.

    Raises:
        InputError: a class folder is missing or holds no image.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder")
    found = []
    for label, name in enumerate(CLASSES):
        folder = root / name
        if not folder.is_dir():
            raise InputError(f"{root}: no folder {name}/; expected Positive/ (anomalous) and Negative/ (normal)")
        files = [f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file()]
        if not files:
            raise InputError(f"{folder}: no image; expected files ending in " + ", ".join(sorted(SUFFIXES)))
        found += [(file.relative_to(root).as_posix(), label) for file in files]
    return sorted(found)


def decode_masks(root: Path, images: list[tuple[str, int]], side: int) -> np.ndarray | None:
    """The ground truth of `images`, (path, label) below `root`: uint8 (N, side, side), 1 where anomalous.

    The mask of an anomalous image lies in Mask/ and has its file stem; where it has none, all is UNKNOWN. None
    if the set has no masks.

    Raises:
        InputError: a mask cannot be decoded.
    """
    masks = {file.stem: file for file in (root / MASKS).rglob("*") if file.suffix.lower() in SUFFIXES}
    if not masks:
        return None
    decoded = np.zeros((len(images), side, side), np.uint8)
    for i, (path, label) in enumerate(images):
        if label:
            file = masks.get(Path(path).stem)
            decoded[i] = UNKNOWN if file is None else decode_mask(file, side)
    return decoded
