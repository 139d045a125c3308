"""What the stages left on disk about one data set, read once for tables, plots and page."""

import json
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from leanet.attention import rows
from leanet.core import paths
from leanet.evaluation import predictions
from leanet.evaluation.baselines import BASELINES, BORDER_HISTOGRAM, LAB_HISTOGRAM, MAP_ONE_CLASS, MAP_THRESHOLD
from leanet.evaluation.comparison import Comparison
from leanet.evaluation.counts import Counts, count
from leanet.evaluation.scores import Figure, RowScores, Score, Undefined, at_points, score_cells, score_row
from leanet.evaluation.suspects import suspects
from leanet.images import imageset
from leanet.training.settings import Recipe


@dataclass(frozen=True)
class Results:
    """One data set's results; rows are those of params.yaml in its order, behind them the baselines.

    Of a set without anomalous images to learn from there is the baseline that needs none alone.

    recipe: how all rows were trained; rows of two recipes never meet in one table.
    findings: what stage split found in the images (leanet.images.findings). predictions: each row's at the chosen
    points. altered: at these, the scores that rows of networks give to altered images
    (leanet.images.counterfactuals). points: each row's F1 by attention point. history: the loss of each row by
    fold, point and epoch. sweep: F1 by row and share of the training positives, at one point; empty where nothing
    was swept. localization: pixel AUROC and AUPRO of the maps.
    """

    dataset: str
    recipe: str
    manifest: pd.DataFrame
    findings: dict
    folds: int  # of one cross-validation
    scores: dict[str, RowScores]
    predictions: dict[str, pd.DataFrame]
    altered: dict[str, pd.DataFrame]
    points: dict[str, dict[int, Figure]]
    history: dict[str, pd.DataFrame]
    sweep: dict[str, dict[float, Figure]]
    localization: dict[str, Figure]

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """How many images each row finds."""
        return {row: count(table, self.manifest, self.folds) for row, table in self.predictions.items()}

    @property
    def primary(self) -> str:
        """The row whose difference to its plain ADN was named beforehand: the last one of params.yaml's rows."""
        return [MAP_ONE_CLASS, *(row for row in self.scores if row not in BASELINES)][-1]

    @property
    def trained(self) -> bool:
        """Whether there is a row of networks."""
        return self.primary != MAP_ONE_CLASS

    @cached_property
    def suspects(self) -> pd.DataFrame:
        """Images that may be mislabelled, by all rows of networks and the colours of the whole image together."""
        unfit = (BORDER_HISTOGRAM, MAP_THRESHOLD, MAP_ONE_CLASS)
        rows_ = [row for row in self.predictions if row not in unfit]
        if not rows_:
            return self.predictions[MAP_ONE_CLASS].iloc[:0]
        return suspects(self.predictions[row] for row in rows_)

    @property
    def positives(self) -> int:
        return int(self.manifest["label"].sum())

    @property
    def negatives(self) -> int:
        return len(self.manifest) - self.positives

    def against_plain(self, row: str) -> Comparison | Undefined | None:
        """A row that knows the map, less the same ADN without it; None for a row that does not know it."""
        alone = plain(row)
        if alone not in (None, row, *self.scores):
            return Undefined(f"no row {alone}")
        return self._against(row, alone)

    def against_histogram(self, row: str) -> Comparison | Undefined | None:
        """A row less the colour histogram; None for the histogram itself."""
        return self._against(row, LAB_HISTOGRAM)

    def _against(self, row: str, other: str | None) -> Comparison | Undefined | None:
        if row == other or other not in self.scores:
            return None
        return self.scores[row].f1.against(self.scores[other].f1)


def plain(row: str) -> str | None:
    """The same ADN without the anomaly map; None for a baseline."""
    return None if row in BASELINES else rows.parts(row).adn


def load(dataset: str, row_names: list[str], swept_rows: list[str], *, recipe: Recipe) -> Results:
    """Read the results of `dataset`."""
    manifest = imageset.read_manifest(paths.split(dataset))
    folds = imageset.folds_of(manifest)
    full = {row: predictions.read(paths.cv(dataset, row)) for row in (*row_names, *BASELINES)}
    full = {row: table for row, table in full.items() if len(table)}
    networks = [row for row in row_names if row in full]
    scores = {row: score_row(table, folds) for row, table in full.items()}
    places = json.loads(paths.localization(dataset).read_text())
    return Results(
        dataset=dataset,
        recipe=recipe,
        manifest=manifest,
        findings=json.loads(paths.findings(dataset).read_text(encoding="utf-8")),
        folds=folds,
        scores=scores,
        predictions={row: at_points(table, scores[row].points) for row, table in full.items()},
        altered={
            row: at_points(predictions.read_altered(paths.cv(dataset, row)), scores[row].points)
            for row in networks
        },
        points={row: _by_point(table, folds) for row, table in full.items()},
        history={row: predictions.read_history(paths.cv(dataset, row)) for row in networks},
        sweep=_sweep(dataset, swept_rows, full, folds),
        localization={
            name: Figure(tuple(_score(place[name]) for place in places), folds)
            for name in ("pixel_auroc", "aupro")
        },
    )


def _score(written: float | str) -> Score:
    return Undefined(written) if isinstance(written, str) else written


def _by_point(table: pd.DataFrame, folds: int) -> dict[int, Figure]:
    f1 = score_cells(table)["f1"]
    return {int(point): Figure(tuple(of_folds), folds) for point, of_folds in f1.groupby("point")}


def _sweep(
    dataset: str, swept_rows: list[str], full: dict[str, pd.DataFrame], folds: int
) -> dict[str, dict[float, Figure]]:
    """At all positives, a row's curve begins with what it scored there at the same point."""
    if not swept_rows:
        return {}
    curves = {}
    for row in (*swept_rows, *BASELINES):
        swept = predictions.read(paths.sweep(dataset, row))
        if not len(swept):
            continue
        point = swept["point"].iloc[0]
        both = pd.concat([full[row][full[row]["point"] == point], swept])
        positives = full[row].drop_duplicates("path")["label"].mean()
        curves[row] = {
            share: replace(_by_point(table, folds)[point], kept=1 - positives * (1 - share))
            for share, table in both.groupby("share")
        }
    return curves
