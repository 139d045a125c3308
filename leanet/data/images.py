"""Image files: finding them in a set's folders, and decoding them."""

from pathlib import Path

import numpy as np
from PIL import Image

from leanet.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
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


def decode(file: Path, side: int) -> np.ndarray:
    """The image in `file` as sRGB, uint8 (side, side, 3).

    Images of another size or shape are resized without keeping their proportions (section 4-1),
    bicubic with anti-aliasing.

    Raises:
        InputError: the file is no image or is cut off.
    """
    return _resized(_open(file, "RGB"), side, Image.Resampling.BICUBIC)


def decode_masks(root: Path, images: list[tuple[str, int]], side: int) -> np.ndarray | None:
    """The ground truth of `images`, (path, label) below `root`: uint8 (N, side, side), 1 where anomalous.

    The mask of an anomalous image lies in Mask/ and has its file stem; where it has none, all is UNKNOWN. None
    if the set has no masks.

    Raises:
        InputError: a mask is no image or is cut off.
    """
    masks = {file.stem: file for file in (root / MASKS).rglob("*") if file.suffix.lower() in SUFFIXES}
    if not masks:
        return None
    decoded = np.zeros((len(images), side, side), np.uint8)
    for i, (path, label) in enumerate(images):
        if label:
            file = masks.get(Path(path).stem)
            grey = None if file is None else _resized(_open(file, "L"), side, Image.Resampling.NEAREST)
            decoded[i] = UNKNOWN if grey is None else grey > 127
    return decoded


def _open(file: Path, mode: str) -> Image.Image:
    try:
        with Image.open(file) as image:
            return image.convert(mode)
    except (OSError, SyntaxError, ValueError) as error:
        reason = str(error).replace(str(file), "the file").replace(repr(str(file)), "the file")
        raise InputError(f"{file}: cannot be decoded as an image ({reason})") from None


def _resized(image: Image.Image, side: int, how: Image.Resampling) -> np.ndarray:
    return np.asarray(image if image.size == (side, side) else image.resize((side, side), how))
