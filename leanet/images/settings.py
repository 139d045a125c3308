"""The settings of stages `download` and `split`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from leanet.core.settings import Count, Rule, Seed

Positives = Annotated[int, Rule("a whole number of at least 0", lambda n: n >= 0)]


@dataclass(frozen=True)
class Dataset:
    """A set of images and how many of them take part (Table 2)."""

    source: str  # a folder (leanet.images.layout), or a YAML file that describes the set (leanet.images.sources)
    positives: Positives | None  # anomalous images to sample; null takes all
    negatives: Count | None  # normal images to sample; null takes all


Border = Annotated[float, Rule("a number above 0 and below 0.5", lambda x: 0 < x < 0.5)]
Background = Literal["keep", "find", "fill"]


@dataclass(frozen=True)
class Preparation:
    """What is done to each image against shortcuts (leanet.images.preparation)."""

    border: Border  # width of the band of outermost pixels, a share of the side
    white_balance: bool  # whether the border's median becomes a grey
    background: Background  # whether the object is looked for, and filled around


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
    border: Border
    white_balance: bool
    background: Background
    seed: Seed

    @property
    def preparation(self) -> Preparation:
        """What is done to each image."""
        return Preparation(self.border, self.white_balance, self.background)
