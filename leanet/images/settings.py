"""The settings of stages `download` and `split`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from leanet.core.settings import Count, Rule, Seed


@dataclass(frozen=True)
class Dataset:
    """A set of images and how many of them take part (Table 2)."""

    source: str  # a folder (leanet.images.layout), or a YAML file that describes the set (leanet.images.sources)
    positives: Count | None  # anomalous images to sample; null takes all
    negatives: Count | None  # normal images to sample; null takes all


@dataclass(frozen=True)
class Split:
    """One array of equal-sized images, and its folds (sections 4-1 and 4-2)."""

    image_size: Annotated[
        int, Rule("a power of two from 32 to 1024", lambda n: n in (32, 64, 128, 256, 512, 1024))
    ]  # side in pixels
    folds: Annotated[int, Rule("a whole number of at least 2", lambda n: n >= 2)]
    repeats: Count  # cross-validations, each with other folds
    groups: Literal["together", "apart"]  # whether images of one group, duplicates among them, share a fold
    undecodable: Literal["stop", "leave-out"]  # what to do about files that are no image
    seed: Seed
