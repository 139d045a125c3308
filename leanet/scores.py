"""From predictions to the figures that are reported (sections 4-2, 4-3).

Predictions are tables with a row an image, its columns path, label (1 anomalous), fold (the one it was
tested in), point (the attention point, 0 where there is none) and score.
"""

import statistics
from dataclasses import dataclass

import pandas as pd
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

THRESHOLD = 0.5  # of a network's score; where the larger of its two outputs changes


@dataclass(frozen=True)
class Figure:
    """A score in each fold, and their mean and deviation.

    The deviation is that of the folds themselves (divisor n, not n - 1).
    """

    folds: tuple[float, ...]

    @classmethod
    def over(cls, folds: pd.Series) -> "Figure":
        return cls(tuple(folds.tolist()))

    @property
    def mean(self) -> float:
        return statistics.fmean(self.folds)

    @property
    def deviation(self) -> float:
        return statistics.pstdev(self.folds)

    @property
    def numbers(self) -> dict[str, float]:
        """Mean and deviation by name, rounded to what few images can tell."""
        return {"mean": round(self.mean, 4), "deviation": round(self.deviation, 4)}

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.deviation:.3f}"


def ranking_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """AUROC and average precision, which need no threshold; a row for each (point, fold)."""

    def of_fold(images: pd.DataFrame) -> pd.Series:
        labels, scores = images["label"], images["score"]
        return pd.Series(
            {
                "auroc": roc_auc_score(labels, scores),
                "average_precision": average_precision_score(labels, scores),
            }
        )

    return predictions.groupby(["point", "fold"])[["label", "score"]].apply(of_fold)


def score_maps(map_scores: pd.DataFrame) -> dict[str, dict[str, Figure]]:
    """How well the anomaly map alone ranks images, for each statistic of it.

    map_scores: a row an image with path, label, fold, and a column for each statistic.
    """
    figures = {}
    for statistic in map_scores.columns.drop(["path", "label", "fold"]):
        ranked = ranking_scores(map_scores.assign(point=0, score=map_scores[statistic]))
        figures[statistic] = {name: Figure.over(ranked[name]) for name in ranked.columns}
    return figures


def decision_scores(predictions: pd.DataFrame) -> pd.DataFrame:
    """F1, precision and recall of the anomalous class at THRESHOLD; a row for each (point, fold).

    Where nothing is called anomalous, precision and F1 count as 0, as in the paper's averages.
    """

    def of_fold(images: pd.DataFrame) -> pd.Series:
        labels, called = images["label"], images["score"] > THRESHOLD
        return pd.Series(
            {
                "f1": f1_score(labels, called, zero_division=0),
                "precision": precision_score(labels, called, zero_division=0),
                "recall": recall_score(labels, called, zero_division=0),
            }
        )

    return predictions.groupby(["point", "fold"])[["label", "score"]].apply(of_fold)


def best_point(f1: pd.Series) -> int:
    """The point of the highest mean F1; the lowest of equals. `f1` is indexed by (point, fold)."""
    return int(f1.groupby("point").mean().idxmax())


def choose_points(f1: pd.Series) -> pd.Series:
    """For each fold, the point that is best on all the other folds: none is chosen by what it scores."""
    folds = f1.index.unique("fold")
    return pd.Series({fold: best_point(f1.drop(fold, level="fold")) for fold in folds})


@dataclass(frozen=True)
class RowScores:
    """The figures of one row on one data set.

    paper_f1, paper_point: the paper's protocol, the best point on the very folds it is scored on.
    f1 and all others: each fold at the point chosen on the other folds. The same where there is one point.
    """

    paper_f1: Figure
    paper_point: int
    f1: Figure
    precision: Figure
    recall: Figure
    auroc: Figure
    average_precision: Figure

    @property
    def numbers(self) -> dict[str, dict[str, float] | int]:
        """All of it by name."""
        return {name: value.numbers if isinstance(value, Figure) else value for name, value in vars(self).items()}


def score_row(predictions: pd.DataFrame) -> RowScores:
    """All figures of a row from its predictions."""
    by_cell = decision_scores(predictions).join(ranking_scores(predictions))
    point = best_point(by_cell["f1"])
    chosen = choose_points(by_cell["f1"])
    honest = by_cell.loc[[(p, fold) for fold, p in chosen.items()]]
    return RowScores(
        paper_f1=Figure.over(by_cell.loc[point, "f1"]),
        paper_point=point,
        **{name: Figure.over(honest[name]) for name in by_cell.columns},
    )
