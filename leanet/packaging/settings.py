"""The settings of stage `package`."""

from dataclasses import dataclass
from typing import Literal

from leanet.attention.settings import Point

Kind = Literal["light", "ensemble"]


@dataclass(frozen=True)
class Package:
    """What becomes the detector."""

    kind: Kind  # one network, looked through once, or those of all folds, looked through in every view
    dataset: str | None  # null: the first of datasets
    row: str | None  # null: the best by average precision, or a simpler one that is as good
    point: Point | None  # null: the best by F1
    criterion: str  # of the threshold (leanet.detector.criterion)
