"""Image files: finding them in a set's folders, and decoding them."""

from pathlib import Path

import numpy as np
from PIL import Image

from leanet.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
CLASSES = ("Negative", "Positive")  # a folder's place is its label: 0 normal, 1 anomalous
MASKS = "Mask"


def list_images(root: Path) -> list[tuple[str, int]]:
    """The images under `root` as (relative path with `/`, label), sorted by path.

    Raises:
        InputError: a class folder is missing or holds no image.
    """
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
    try:
        with Image.open(file) as image:
            image = image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        reason = str(error).replace(str(file), "the file").replace(repr(str(file)), "the file")
        raise InputError(f"{file}: cannot be decoded as an image ({reason})") from None
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image)
