"""From predictions to the figures that are reported (sections 4-2, 4-3).

Predictions are tables with a row an image and test fold, its columns path, label (1 anomalous), fold (the one
it was tested in; folds of a repeated cross-validation count on), point (the attention point, 0 where there
is none), share (of the training positives that were kept) and score.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

from leanet.evaluation.comparison import Comparison, compare, mean_interval
from leanet.evaluation.rates import best_threshold

THRESHOLD = 0.5  # of a network's score; where the larger of its two outputs changes


@dataclass(frozen=True)
class Undefined:
    """A score that does not exist, and why."""

    reason: str

    def __str__(self) -> str:
        return f"undefined ({self.reason})"


Score = float | Undefined


@dataclass(frozen=True)
class Figure:
    """A score in each fold, and their mean and deviation.

    folds_per_repeat: how many folds make one cross-validation. kept: the share of the training images that were
    trained on. The deviation is that of the folds themselves
    (divisor n, not n - 1). What is undefined in one fold is undefined.
    """

    folds: tuple[Score, ...]
    folds_per_repeat: int
    kept: float = 1

    @property
    def undefined(self) -> Undefined | None:
        """Why there is no mean; None where there is one."""
        for fold, score in enumerate(self.folds, start=1):
            if isinstance(score, Undefined):
                return Undefined(f"fold {fold}: {score.reason}")
        return None

    @property
    def mean(self) -> Score:
        return self.undefined or statistics.fmean(self.folds)

    @property
    def deviation(self) -> Score:
        return self.undefined or statistics.pstdev(self.folds)

    @property
    def interval(self) -> tuple[float, float] | Undefined:
        """95 % interval of the mean, which knows that training folds overlap (leanet.evaluation.comparison)."""
        if self.undefined:
            return self.undefined
        low, high = mean_interval(self.folds, self.folds_per_repeat, self.kept)
        return max(low, 0.0), min(high, 1.0)  # no score lies beyond

    def against(self, other: "Figure") -> Comparison | Undefined:
        """This figure less `other` on the same folds."""
        return (
            self.undefined or other.undefined or compare(self.folds, other.folds, self.folds_per_repeat, self.kept)
        )

    @property
    def numbers(self) -> dict[str, float | str]:
        """Mean, deviation and interval by name, rounded to what few images can tell."""
        if self.undefined:
            return {"undefined": self.undefined.reason}
        low, high = self.interval
        return {
            "mean": round(self.mean, 4),
            "deviation": round(self.deviation, 4),
            "low": round(low, 4),
            "high": round(high, 4),
        }

    def __str__(self) -> str:
        return str(self.undefined or f"{self.mean:.3f} ± {self.deviation:.3f}")


def score_images(images: pd.DataFrame) -> dict[str, Score]:
    """The scores of the images of one test fold, from their columns label and score.

    F1, precision and recall are of the anomalous class at THRESHOLD; F1 is 0 where nothing is called
    anomalous, as in the paper's averages. AUROC and average precision need no threshold.
    """
    labels, scores = images["label"], images["score"]
    called = scores > THRESHOLD
    no_positive = None if labels.any() else Undefined("no anomalous image")
    no_negative = Undefined("no normal image") if labels.all() else None
    constant = Undefined("all images score the same") if scores.nunique() == 1 else None
    none_called = None if called.any() else Undefined("no image is called anomalous")
    precision, recall, f1, _ = precision_recall_fscore_support(labels, called, average="binary", zero_division=0)
    return {
        "f1": no_positive or f1,
        "precision": none_called or precision,
        "recall": no_positive or recall,
        "auroc": no_positive or no_negative or constant or roc_auc_score(labels, scores),
        "average_precision": no_positive or constant or average_precision_score(labels, scores),
    }


def score_cells(predictions: pd.DataFrame) -> pd.DataFrame:
    """The scores of every (point, fold), a column a score; entries are numbers or Undefined."""
    groups = predictions.groupby(["point", "fold"])[["label", "score"]]
    cells = {cell: score_images(images) for cell, images in groups}
    table = pd.DataFrame.from_dict(cells, orient="index", dtype=object)
    table.index = pd.MultiIndex.from_tuples(cells, names=["point", "fold"])
    return table


@dataclass(frozen=True)
class Changed:
    """How many verdicts change, of how many."""

    count: int
    total: int

    @property
    def numbers(self) -> dict[str, int]:
        """All of it by name."""
        return vars(self).copy()

    def __str__(self) -> str:
        return f"{self.count} of {self.total} ({self.count / self.total:.0%})"


def changed(predictions: pd.DataFrame, altered: pd.DataFrame) -> Changed:
    """The verdicts that differ between images and the same images altered, one kind, at one point a fold."""
    both = altered.merge(predictions, on=["path", "fold"], suffixes=("", " before"))
    differ = (both["score"] > THRESHOLD) != (both["score before"] > THRESHOLD)
    return Changed(int(differ.sum()), len(both))


def best_point(f1: pd.Series) -> int:
    """The point of the highest mean F1; the lowest of equals. `f1` is indexed by (point, fold).

    Folds without an F1 have no say.
    """
    numbers = pd.to_numeric(f1, errors="coerce")
    return int(numbers.groupby("point").mean().fillna(-1).idxmax())


def choose_points(f1: pd.Series, folds_per_repeat: int) -> pd.Series:
    """For each fold, the point that is best on the other folds of its repeat.

    None is chosen by what it scores: the images of a fold are in no other fold of the same repeat.
    """
    repeat = f1.index.get_level_values("fold") // folds_per_repeat
    chosen = {}
    for fold in f1.index.unique("fold"):
        others = (repeat == fold // folds_per_repeat) & (f1.index.get_level_values("fold") != fold)
        chosen[fold] = best_point(f1[others])
    return pd.Series(chosen)


def tune_threshold(predictions: pd.DataFrame, folds_per_repeat: int) -> pd.DataFrame:
    """Shift scores so that THRESHOLD is, in each fold, what is best on the other folds of its repeat.

    predictions: at one point a fold. Where the others have no anomalous image, scores stay.
    """
    repeat = predictions["fold"] // folds_per_repeat
    tuned = predictions.copy()
    for fold in predictions["fold"].unique():
        own = predictions["fold"] == fold
        others = predictions[(repeat == fold // folds_per_repeat) & ~own]
        if others["label"].any():
            _, threshold = best_threshold(others["label"].to_numpy(), others["score"].to_numpy())
            tuned.loc[own, "score"] += THRESHOLD - threshold
    return tuned


@dataclass(frozen=True)
class RowScores:
    """The figures of one row on one data set.

    paper_f1, paper_point: the paper's protocol, the best point on the very folds it is scored on.
    points: the point of each fold, chosen on the other folds; f1 and all others are scored there. The same
    where there is one point.
    tuned_f1: the same, at the threshold that is best on the other folds in place of THRESHOLD.
    """

    paper_f1: Figure
    paper_point: int
    points: tuple[int, ...]
    f1: Figure
    tuned_f1: Figure
    precision: Figure
    recall: Figure
    auroc: Figure
    average_precision: Figure

    @property
    def numbers(self) -> dict[str, dict[str, float | str] | int]:
        """All of it by name."""
        return {
            name: value.numbers if isinstance(value, Figure) else value
            for name, value in vars(self).items()
            if name != "points"
        }


def score_row(predictions: pd.DataFrame, folds_per_repeat: int) -> RowScores:
    """All figures of a row from its predictions."""
    by_cell = score_cells(predictions)
    point = best_point(by_cell["f1"])
    chosen = choose_points(by_cell["f1"], folds_per_repeat)
    honest = by_cell.loc[[(p, fold) for fold, p in chosen.items()]]
    tuned = score_cells(tune_threshold(at_points(predictions, tuple(chosen)), folds_per_repeat))
    return RowScores(
        paper_f1=Figure(tuple(by_cell.loc[point, "f1"]), folds_per_repeat),
        paper_point=point,
        points=tuple(int(p) for p in chosen),
        tuned_f1=Figure(tuple(tuned["f1"].sort_index(level="fold")), folds_per_repeat),
        **{name: Figure(tuple(honest[name]), folds_per_repeat) for name in by_cell.columns},
    )


def at_points(predictions: pd.DataFrame, points: Sequence[int]) -> pd.DataFrame:
    """Of all `predictions` those at each fold's point; `points` is in the order of the folds."""
    return predictions[predictions["point"] == predictions["fold"].map(dict(enumerate(points)))]
