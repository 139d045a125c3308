"""The same picture twice: images that must not lie on both sides of a fold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations, pairwise

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from leanet.core.arrays import ArrayFile
from leanet.core.errors import InputError
from leanet.images.layout import Item, first_few

HASH_SIDE = 16  # a hash has its square in bits
# Bits in which two hashes of one picture may differ. Of Potato's leaves, two different ones differ in 52 or
# more (212,226 pairs), one and its copy in 14 at most when compressed again (JPEG, quality 30), 6 when brighter or
# paler by a quarter, 30 when turned by a degree.
NEAR = 30
WORD = 16  # bits of a hash by which the pairs are found that are worth comparing
AT_ONCE = 2**18  # pairs that are compared at once
HELD = 2**20  # pairs that wait to be thinned out


@dataclass(frozen=True)
class Duplicates:
    """Pairs (i, j), i < j, of images: equal in every pixel, or near (by perceptual hash) but not equal.

    Of many images of one picture there are as few pairs as join them, not each with each: that would be millions
    among some thousand images. exact: each image and the first one that equals it. near: the nearest pairs, of
    images that equal no earlier one.
    """

    exact: list[tuple[int, int]]
    near: list[tuple[int, int]]


def find(images: ArrayFile | np.ndarray) -> Duplicates:
    """Exact and near duplicates among `images`, uint8 (N, side, side, 3)."""
    hashes = np.empty((len(images), HASH_SIDE**2 // 8), np.uint8)
    digests = np.empty((len(images), 2), np.uint64)
    for i in range(len(images)):
        image = images[i]
        hashes[i] = np.packbits(_hash(image))
        digests[i] = np.frombuffer(blake2b(image.tobytes(), digest_size=16).digest(), np.uint64)
    _, places, picture = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    first = places[picture.ravel()]
    again = first < np.arange(len(images))
    exact = [(int(first[i]), int(i)) for i in np.flatnonzero(again)]
    kept = np.flatnonzero(~again)
    near = kept[_joining(near_pairs(hashes[kept], NEAR), len(kept))[:, :2]]
    return Duplicates(exact, [(int(i), int(j)) for i, j in near])


def near_pairs(hashes: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Pairs of hashes that differ in at most `most` bits: in pieces, rows of i, j and that number, i < j.

    hashes: uint8 (N, bytes), a multiple of WORD bits each. Bits in which two hashes differ are spread over their
    words: in one word at least they differ by no more than the mean. Only pairs that have such a word are compared
    whole, one in a hundred. Bits are shuffled first, since neighbouring ones are alike in many pictures.
    """
    order = np.random.default_rng(0).permutation(8 * hashes.shape[1])
    shuffled = np.empty(hashes.shape, np.uint8)
    for start in range(0, len(hashes), 4096):  # a byte a bit, of all of them, would be most of the stage's memory
        piece = slice(start, start + 4096)
        shuffled[piece] = np.packbits(np.unpackbits(hashes[piece], axis=1)[:, order], axis=1)
    words = shuffled.view(f"u{WORD // 8}")
    apart = most // words.shape[1]  # bits that one word differs in at most
    for place in range(words.shape[1]):
        for i, j in _alike(words[:, place], apart):
            differ = np.bitwise_count(words[i] ^ words[j])
            distances = differ.sum(axis=1, dtype=int)
            # Of several such words, the first tells of the pair.
            near = (distances <= most) & ((differ <= apart).argmax(axis=1) == place)
            if near.any():
                yield np.stack([np.minimum(i, j), np.maximum(i, j), distances], axis=1)[near]


def _alike(words: np.ndarray, apart: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of places of words that differ in at most `apart` bits, each pair once, in pieces."""
    order = np.argsort(words, kind="stable")
    values = words[order]
    starts = np.searchsorted(values, np.arange(2**WORD + 1))
    bits = (1 << np.arange(WORD)).tolist()
    for count in range(apart + 1):
        for mask in (sum(chosen) for chosen in combinations(bits, count)):
            partner = values ^ values.dtype.type(mask)
            first, end = starts[partner], starts[partner.astype(int) + 1]
            if mask:
                end = np.where(values < partner, end, first)
            else:
                first = np.arange(1, len(values) + 1)
            for some, other in _spelled_out(first, end):
                yield order[some], order[other]


def _spelled_out(first: np.ndarray, end: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each place with each of the places from its `first` to before its `end`, some AT_ONCE pairs at a time."""
    ends = np.cumsum(end - first)
    pieces = np.searchsorted(ends, np.arange(AT_ONCE, ends[-1] if len(ends) else 0, AT_ONCE))
    for start, stop in pairwise([0, *dict.fromkeys((pieces + 1).tolist()), len(first)]):
        counts = (end - first)[start:stop]
        some = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(some)) - np.repeat(np.cumsum(counts) - counts, counts)
        if len(some):
            yield some, first[some] + within


def _joining(pieces: Iterable[np.ndarray], count: int) -> np.ndarray:
    """As few of the pairs of `near_pairs` as join all that they join, the nearest ones, sorted by i and j."""
    held, size = [np.empty((0, 3), int)], 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > HELD + count:
            held = [_tree(np.concatenate(held), count)]
            size = len(held[0])
    pairs = _tree(np.concatenate(held), count)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _tree(pairs: np.ndarray, count: int) -> np.ndarray:
    """The pairs of a minimum spanning tree of each group that `pairs` join."""
    i, j, distances = pairs.T
    pairs = pairs[np.lexsort((j, i, distances))]
    rank = np.arange(1.0, len(pairs) + 1)  # no two are equal: the tree is the same on every machine
    tree = minimum_spanning_tree(coo_matrix((rank, pairs[:, :2].T), (count, count)))
    return pairs[tree.data.astype(int) - 1]


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
