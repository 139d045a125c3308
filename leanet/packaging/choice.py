"""Which row becomes the detector, and at which attention point."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch

from leanet.attention import rows as row_names
from leanet.attention.leanet import build
from leanet.attention.rows import MAP_ONE_CLASS
from leanet.core import paths
from leanet.core.errors import InputError
from leanet.evaluation import predictions
from leanet.evaluation.baselines import BASELINES, BORDER_HISTOGRAM
from leanet.evaluation.scores import Figure, RowScores, score_row
from leanet.evaluation.shortcuts import border_tells
from leanet.packaging.settings import Package


@dataclass(frozen=True)
class Choice:
    """A row among others, cross-validated alike.

    row, point: what is chosen; point 0: none. points: those that it was chosen from. scores: of all candidates,
    and of the baselines, by row. parameters: of each candidate's network.
    """

    row: str
    point: int
    points: list[int]
    scores: dict[str, RowScores]
    parameters: dict[str, int]

    @property
    def own(self) -> RowScores:
        return self.scores[self.row]

    @cached_property
    def border(self) -> float | None:
        """The AUROC of the baseline border-histogram, if by it the border tells the classes apart."""
        if BORDER_HISTOGRAM not in self.scores:
            return None
        auroc = self.scores[BORDER_HISTOGRAM].auroc
        return round(auroc.mean, 2) if border_tells(auroc) else None

    @property
    def facts(self) -> dict:
        """What a detector is to say of it, of JSON's types."""
        ours = self.own.average_precision
        return {
            "row": self.row,
            "point": self.point,
            "points": self.points,
            "border": self.border,
            "cross_validation": self.own.numbers,
            "candidates": {
                row: {"average_precision": self.scores[row].average_precision.numbers, "parameters": count}
                for row, count in self.parameters.items()
            },
            "baselines": {
                name: {
                    "average_precision": (theirs := self.scores[name].average_precision).numbers,
                    "better": not (ours.undefined or theirs.undefined) and theirs.mean > ours.mean,
                    "difference": str(theirs.against(ours)),
                }
                for name in BASELINES
                if name in self.scores and name != self.row
            },
        }


def only_map(dataset: str, folds: int) -> Choice:
    """The map alone, where no row is trained (leanet.images.imageset.ImageSet.has_both)."""
    scores = score_row(predictions.read(paths.cv(dataset, MAP_ONE_CLASS)), folds)
    return Choice(MAP_ONE_CLASS, 0, [0], {MAP_ONE_CLASS: scores}, {})


def choose(package: Package, rows: list[str], dataset: str, folds: int, side: int) -> Choice:
    """The row by average precision, the simplest of those within one standard error of the best; its point by F1.

    The rule is that of Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3; simple is what
    has few parameters. The average precision is at points chosen on other folds; the point is the best by F1 of
    all folds together. What `package` names is taken as it is. folds: of the first repeat. side: pixels.

    Raises:
        InputError: no row has an average precision.
    """
    candidates = [package.row] if package.row else rows
    tables = {row: predictions.read(paths.cv(dataset, row)) for row in (*candidates, *BASELINES)}
    scores = {row: score_row(table, folds) for row, table in tables.items()}
    tried = {row: _points(package, row, tables[row]["point"].unique()) for row in candidates}
    points = {row: tried[row][0] if len(tried[row]) == 1 else scores[row].paper_point for row in candidates}
    parameters = {row: _parameters(row, points[row], side) for row in candidates}
    row = package.row or _simplest({row: scores[row].average_precision for row in candidates}, parameters)
    if row is None:
        raise InputError(
            f"no row of {dataset} has an average precision to choose by; name one as package.row in params.yaml"
        )
    return Choice(row, points[row], tried[row], scores, parameters)


def _simplest(figures: dict[str, Figure], parameters: dict[str, int]) -> str | None:
    """Of the rows within one standard error of the best that with fewest parameters; None where no figure is."""
    defined = {row: figure for row, figure in figures.items() if not figure.undefined}
    if not defined:
        return None
    best = max(defined.values(), key=lambda figure: figure.mean)
    least = best.mean - statistics.stdev(best.folds) / len(best.folds) ** 0.5
    return min((row for row, figure in defined.items() if figure.mean >= least), key=parameters.get)


def _points(package: Package, row: str, trained: Iterable[int]) -> list[int]:
    """Of the row; [0] where it does not attend."""
    if row_names.parts(row).external is None:
        return [0]
    return [package.point] if package.point else sorted(map(int, trained))


def _parameters(row: str, point: int, side: int) -> int:
    with torch.device("meta"):
        network = build(row, side=side, point=point or None, pretrained=False)
    return sum(parameter.numel() for parameter in network.parameters())
