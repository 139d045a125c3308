"""Images from wherever they are, decoded ahead of whoever works on them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice, repeat
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from leanet.core.errors import InputError
from leanet.core.parallel import in_order
from leanet.images.decoding import MAX_PIXELS, Box, decode

Source = str | Path | bytes | Image.Image | np.ndarray
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
AHEAD = 2  # batches that are decoded while one is worked on


def is_image(path: str | PurePosixPath) -> bool:
    """By its name; `._x.jpg` and `__MACOSX/` are what archives from a Mac carry beside the images."""
    path = PurePosixPath(path)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._") and "__MACOSX" not in path.parts


def read(
    sources: Iterable[Source],
    side: int,
    batch_size: int,
    boxes: Iterable[Box | None] = repeat(None),
    most_pixels: int = MAX_PIXELS,
) -> Iterator[list[np.ndarray | InputError]]:
    """Batches of images as uint8 (side, side, 3), in order; in place of one that cannot be read, why.

    boxes: the part of each that is taken; None takes all. most_pixels: what an image may have. The decoders of
    Pillow run side by side, on all cores.
    """
    asked = (
        (source, at, side, box, most_pixels) for at, (source, box) in enumerate(zip(sources, boxes, strict=False))
    )
    with closing(in_order(_one, asked, ahead=AHEAD * batch_size)) as images:
        while batch := list(islice(images, batch_size)):
            yield batch


def _one(source: Source, at: int, side: int, box: Box | None, most_pixels: int) -> np.ndarray | InputError:
    try:
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
                raise InputError(
                    f"image {at}: an array of {source.dtype} {source.shape}, expected uint8 (height, width, 3)"
                )
            source = Image.fromarray(source)
        name = str(source) if isinstance(source, str | Path) else f"image {at}"
        if isinstance(source, str | Path) and not os.path.exists(source):
            raise InputError(f"{name}: no such file")
        return decode(Path(source) if isinstance(source, str) else source, side, name, box, most_pixels)
    except InputError as error:
        return error
