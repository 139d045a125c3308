"""The cells of a cross-validation: one training each, for a fold, an attention point and a share of positives."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from leanet import rows
from leanet.data import imageset
from leanet.data.imageset import ImageSet
from leanet.data.sampling import thin
from leanet.execution.job import Job, Outcome
from leanet.execution.run import save_history
from leanet.models.leanet import build
from leanet.params import Params
from leanet.training import detect


@dataclass(frozen=True)
class Cell:
    """Which training it is."""

    fold: int
    point: int  # 0 where nothing attends
    share: float = 1  # of the training positives that are kept


def cells(data: ImageSet, row: str, points: list[int], shares: list[float]) -> list[Cell]:
    """The cells of a row, fold by fold; where nothing attends, one for all points."""
    if rows.parts(row).external is None:
        points = [0]
    return [Cell(fold, point, share) for fold in data.folds for point in points for share in shares]


def jobs(
    row: str,
    wanted: list[Cell],
    data: ImageSet,
    maps: Path,
    params: Params,
    shown: np.ndarray | None = None,
    keep_weights: bool = False,
) -> list[Job]:
    """The trainings of `row` for the `wanted` cells.

    maps: the folder of the anomaly maps of all images by each fold's colouriser. shown: test images of the first
    fold to keep for pictures what its networks see in them (Fig. 5). keep_weights: whether outcomes have them.
    """
    # Shapes without weights: a point that is not there is said before hours of training.
    with torch.device("meta"):
        for point in {cell.point for cell in wanted}:
            build(row, side=data.side, point=point)
    maps_by = {fold: imageset.load_maps(maps, fold, data) for fold in {cell.fold for cell in wanted}}
    nothing = np.array([], int)
    rate = params.train_leanet.learning_rate_of(row)

    def job(cell: Cell) -> Job:
        kept = thin(data.trained(cell.fold), data.labels, cell.share, params.split.seed)
        return Job(
            name=vars(cell),
            function=detect.cell,
            arrays={
                "images": data.images,
                "maps": maps_by[cell.fold],
                "labels": data.labels,
                "train": kept,
                "test": data.tested(cell.fold),
                "shown": shown if shown is not None and cell.fold == 0 else nothing,
            },
            settings={
                "row": row,
                "point": cell.point,
                "fold": cell.fold,
                "recipe": params.recipe,
                "precision": params.precision,
                "keep_weights": keep_weights,
                "train_leanet": asdict(
                    # What concerns this training alone: another point beside its own changes nothing.
                    replace(params.train_leanet, points=[cell.point], learning_rate=rate, learning_rate_vgg=rate)
                ),
            },
            epochs=params.train_leanet.epochs,
        )

    return [job(cell) for cell in wanted]


def predictions(jobs: list[Job], outcomes: Sequence[Outcome], data: ImageSet) -> pd.DataFrame:
    """The scores of the test images, as in leanet.scores."""
    images = data.manifest[["path", "label"]]
    return pd.concat(
        images.loc[data.tested(job.name["fold"])].assign(**job.name, score=outcome.arrays["scores"])
        for job, outcome in zip(jobs, outcomes, strict=True)
    )


def save(jobs: list[Job], outcomes: Sequence[Outcome], data: ImageSet, folder: Path) -> None:
    """Write what cells came to as `predictions.csv` and `history.csv`, the loss (Eq. 1) by epoch."""
    scores = predictions(jobs, outcomes, data)
    scores.to_csv(folder / "predictions.csv", index=False, float_format="%.6f")
    save_history(jobs, outcomes, folder)
