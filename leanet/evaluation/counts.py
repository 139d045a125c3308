"""How many images are found and how many raise an alarm, with intervals that know which images show one thing."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

from leanet.evaluation.rates import clopper_pearson, effective
from leanet.evaluation.scores import THRESHOLD, Undefined


@dataclass(frozen=True)
class Count:
    """So many `hits` of `total`, and the 95 % interval of the share."""

    hits: int
    total: int
    low: float
    high: float

    @property
    def numbers(self) -> dict[str, float | int]:
        """All of it by name, rounded."""
        return {"hits": self.hits, "of": self.total, "low": round(self.low, 4), "high": round(self.high, 4)}

    def __str__(self) -> str:
        return f"{self.hits} of {self.total} [{self.low:.0%}, {self.high:.0%}]"


@dataclass(frozen=True)
class Counts:
    """Of one row, all test folds of the first repeat together: anomalous images that are found, normal ones that
    raise a false alarm, and their F1.
    """

    found: Count
    alarms: Count

    @property
    def f1(self) -> float | Undefined:
        """Of all folds together, which is there even where a fold's own is undefined."""
        found, alarms = self.found.hits, self.alarms.hits
        if not self.found.total:
            return Undefined("no anomalous image")
        return 2 * found / (found + alarms + self.found.total)


def count(predictions: pd.DataFrame, manifest: pd.DataFrame, folds: int) -> Counts:
    """Count the images called anomalous; folds: of one repeat.

    predictions: at one point a fold (leanet.evaluation.predictions). manifest: with each image's path and group.
    """
    images = predictions[predictions["fold"] < folds].merge(manifest[["path", "group"]], on="path")
    called = images["score"] > THRESHOLD
    by_label = []
    for label in (1, 0):
        own = images["label"] == label
        hits, total = int(called[own].sum()), int(own.sum())
        low, high = clopper_pearson(hits, total, independent=effective(images.loc[own, "group"].to_numpy()))
        by_label.append(Count(hits, total, low, high))
    return Counts(*by_label)


def pooled_curve(predictions: pd.DataFrame, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision at every threshold, all test folds of the first repeat together, recall ascending."""
    first = predictions[predictions["fold"] < folds]
    precision, recall, _ = precision_recall_curve(first["label"], first["score"])
    return recall[::-1], precision[::-1]
