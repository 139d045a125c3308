"""Images that are unlike all that a detector knows, put aside for people to look at (`leanet review`)."""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from leanet.core import files
from leanet.images.reading import is_image

RARE = 0.01  # of the known images are as unlike all the others
MOST = 200  # images in a folder


def least_likeness(features: np.ndarray, groups: np.ndarray) -> float:
    """The likeness to the nearest other one that all but RARE of known images have.

    features: (G, D), length 1. groups: (G,): images of one number show one thing, and are not compared.
    """
    likeness = features @ features.T
    likeness[groups[:, None] == groups] = -1
    return float(np.quantile(likeness.max(axis=1), RARE, method="lower"))


class Aside:
    """A folder that takes such images, each once, as long as there are fewer than `most` in it."""

    def __init__(self, folder: Path, most: int = MOST):
        self.folder, self.most, self.unlike, self.kept = folder, most, 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        self._count = sum(is_image(file) for file in folder.iterdir())
        self._full = False

    def put(self, source: Path | bytes) -> None:
        """Keep an image that can be read; what the disk does not take is told once, and judging goes on."""
        self.unlike += 1
        if self._full or self._count >= self.most:
            return
        try:
            content = source if isinstance(source, bytes) else source.read_bytes()
            with Image.open(io.BytesIO(content)) as image:
                kind = {"JPEG": "jpg", "TIFF": "tif"}.get(image.format, (image.format or "png").lower())
            # Names from elsewhere stay outside.
            file = self.folder / f"{hashlib.sha256(content).hexdigest()[:24]}.{kind}"
            if file.exists():
                return
            with files.whole_file(file) as part:
                part.write_bytes(content)
        except OSError as error:
            self._full = True
            print(
                f"warning: {self.folder}: nothing more is put aside ({error.strerror or error})", file=sys.stderr
            )
            return
        self.kept += 1
        self._count += 1

    def __str__(self) -> str:
        unlike = f"{self.unlike} images are unlike what the detector knows"
        said = f"{unlike}; {self.kept} of them are new in {self.folder}"
        return said if self._count < self.most else f"{said}, which has {self._count} now and takes no more"
