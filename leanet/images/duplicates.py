"""The same picture twice: images that must not lie on both sides of a fold."""

from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from leanet.core.errors import InputError
from leanet.images.layout import Item, first_few

HASH_SIDE = 16  # a hash has its square in bits
# Bits in which two hashes of one picture may differ. Of Potato's leaves, two different ones differ in 52 or
# more (212,226 pairs), one and its copy in 14 at most when compressed again (JPEG, quality 30), 6 when brighter or
# paler by a quarter, 30 when turned by a degree.
NEAR = 30
CHUNK = 1024  # hashes compared with all others at once


@dataclass(frozen=True)
class Duplicates:
    """Pairs (i, j), i < j, of images: equal in every pixel, or near (by perceptual hash) but not equal."""

    exact: list[tuple[int, int]]
    near: list[tuple[int, int]]


def find(images: np.ndarray) -> Duplicates:
    """Exact and near duplicates among `images`, uint8 (N, side, side, 3)."""
    hashes = np.array([_hash(image) for image in images]).reshape(-1, HASH_SIDE**2)
    signs = np.where(hashes, 1, -1).astype(np.float32)
    exact, near = [], []
    for start in range(0, len(signs), CHUNK):
        distances = (HASH_SIDE**2 - signs[start : start + CHUNK] @ signs.T) / 2
        for i, j in np.argwhere(distances <= NEAR) + np.array([start, 0]):
            if i < j:
                (exact if np.array_equal(images[i], images[j]) else near).append((int(i), int(j)))
    return Duplicates(exact, near)


def refuse_both_classes(items: list[Item], exact: list[tuple[int, int]]) -> None:
    """Raise InputError if a picture is among the normal and among the anomalous images."""
    both = [f"{items[i].path} is {items[j].path}" for i, j in exact if items[i].label != items[j].label]
    if both:
        raise InputError(f"the same picture in both classes: {first_few(both)}; remove the wrong one")


def groups(items: list[Item], pairs: list[tuple[int, int]]) -> np.ndarray:
    """(N,): the number of each image's group, those of one group of their own or joined by a pair together."""
    first: dict[str, int] = {}
    given = [(first.setdefault(item.group, i), i) for i, item in enumerate(items) if item.group is not None]
    i, j = np.array([*given, *pairs], dtype=int).reshape(-1, 2).T
    return connected_components(coo_matrix((np.ones(len(i)), (i, j)), (len(items), len(items))), directed=False)[1]


def _hash(image: np.ndarray) -> np.ndarray:
    """The perceptual hash: signs of the lowest frequencies (discrete cosine transform) of the grey image."""
    return imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE).hash.ravel()
