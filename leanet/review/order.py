"""Which image to look at next: those whose label teaches most, and some at random, for an honest estimate."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from leanet.detector.calibration import log_odds

Why = Literal["random", "uncertain", "unlike", "suspect", "chosen"]  # an image is shown
TURNS = ("random", "uncertain", "unlike", "uncertain")  # of every four images


@dataclass(frozen=True)
class Seen:
    """What a detector found in an image.

    file: its path in the folder. image: the SHA-256 of the file. likeness: the largest cosine of its features with
    those of a training image, at most 1.
    """

    file: str
    image: str
    score: float
    likeness: float


def shuffled(seen: Collection[Seen]) -> list[Seen]:
    """In an order that nobody chose, and that is the same whenever it is asked for."""
    return sorted(seen, key=lambda each: place(each.image))


def place(image: str) -> bytes:
    """What images are ordered by, from the SHA-256 of their files.

    Those that come later take places of their own: each beginning of the order is a sample of all.
    """
    return hashlib.sha256(image.encode()).digest()


def following(seen: Collection[Seen], threshold: float, before: int, count: int) -> list[tuple[Seen, Why]]:
    """The next `count` images to look at, and why; before: how many have had their turn.

    seen: the others.
    """
    by_why = {
        "random": iter(shuffled(seen)),
        "uncertain": iter(_by(seen, [abs(x) for x in _beyond(seen, threshold)])),
        "unlike": iter(_by(seen, [each.likeness for each in seen])),
    }
    found: dict[str, tuple[Seen, Why]] = {}
    for turn in range(before, before + min(count, len(seen))):
        why = TURNS[turn % len(TURNS)]
        new = next(each for each in by_why[why] if each.image not in found)
        found[new.image] = new, why
    return list(found.values())


def _beyond(seen: Collection[Seen], threshold: float) -> Sequence[float]:
    """By how much the log-odds of the scores are above those of the threshold."""
    return log_odds(np.array([each.score for each in seen])) - log_odds(np.array([threshold]))


def _by(seen: Collection[Seen], keys: Sequence[float]) -> Iterator[Seen]:
    """Ascending by the keys; what is alike in the order of `shuffled`."""
    of = dict(zip((each.image for each in seen), keys, strict=True))
    return iter(sorted(shuffled(seen), key=lambda each: of[each.image]))
