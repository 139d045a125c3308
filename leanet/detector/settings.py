"""The settings of stage `package`."""

from dataclasses import dataclass

from leanet.attention.settings import Point


@dataclass(frozen=True)
class Package:
    """What becomes the detector."""

    dataset: str | None  # null: the first of datasets
    row: str | None  # null: the best by F1 at points chosen on the other folds
    point: Point | None  # null: the best of the row's
    criterion: str  # of the threshold (leanet.detector.criterion)
