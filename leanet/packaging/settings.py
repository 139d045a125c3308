"""The settings of stage `package`."""

from dataclasses import dataclass
from typing import Literal

from leanet.attention.settings import Point

Kind = Literal["light", "ensemble"]


@dataclass(frozen=True)
class Package:
    """What becomes the detector."""

    kind: Kind  # one network, looked through once, or, always of normal images alone, those of all folds
    dataset: str | None  # null: the first of datasets
    row: str | None  # null: the best by average precision, or a simpler one that is as good
    point: Point | None  # null: the best by F1
    criterion: str | None  # of the threshold (leanet.detector.criterion); null: its default
