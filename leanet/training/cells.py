"""The cells of a cross-validation: one training each, for a fold, an attention point and a share of positives."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd
import torch

from leanet import rows
from leanet.data.arrayfile import ArrayFile
from leanet.data.imageset import ImageSet
from leanet.data.sampling import thin
from leanet.models.leanet import LEANet, build
from leanet.params import Params
from leanet.progress import Progress
from leanet.training.detect import Samples, predict, train_cell


@dataclass(frozen=True)
class Cell:
    """Which training it is."""

    fold: int
    point: int  # 0 where nothing attends
    share: float = 1  # of the training positives that are kept


@dataclass(frozen=True)
class Trained:
    """What a cell came to.

    test: the images of its test fold. predictions: see leanet.scores. history: the loss (Eq. 1) by epoch.
    """

    cell: Cell
    network: LEANet
    test: Samples
    predictions: pd.DataFrame
    history: pd.DataFrame
    images_trained: int


def cells(data: ImageSet, row: str, points: list[int], shares: list[float]) -> list[Cell]:
    """The cells of a row, fold by fold; where nothing attends, one for all points."""
    if rows.parts(row).external is None:
        points = [0]
    return [Cell(fold, point, share) for fold in data.folds for point in points for share in shares]


def train(
    row: str,
    wanted: list[Cell],
    data: ImageSet,
    maps_of: Callable[[int], ArrayFile],
    params: Params,
    *,
    device: torch.device,
    dtype: torch.dtype,
    title: str,
) -> Iterator[Trained]:
    """Train `row` once for each of the `wanted` cells.

    maps_of: the anomaly maps of all images by the colouriser of a fold. title: what the progress bar says.
    """
    settings = params.train_leanet
    # Shapes without weights: a point that is not there is said before hours of training.
    with torch.device("meta"):
        for point in {cell.point for cell in wanted}:
            build(row, side=data.side, point=point)

    def samples(maps: ArrayFile, chosen) -> Samples:
        return Samples.on(device, data.images, maps, data.labels, settings.map_scale, chosen)

    with Progress(len(wanted) * settings.epochs, title) as progress:
        for fold, of_fold in groupby(wanted, key=lambda cell: cell.fold):
            maps = maps_of(fold)
            test = samples(maps, data.tested(fold))
            tested = data.manifest.loc[data.tested(fold), ["path", "label"]]
            for cell in of_fold:
                kept = thin(data.trained(fold), data.labels, cell.share, params.split.seed)
                network, losses = train_cell(
                    row,
                    cell.point,
                    samples(maps, kept),
                    settings,
                    recipe=params.recipe,
                    fold=fold,
                    dtype=dtype,
                    on_epoch=lambda loss, cell=cell: progress.step(**vars(cell), loss=f"{loss:.4f}"),
                )
                scores = predict(network, test, recipe=params.recipe, dtype=dtype)
                yield Trained(
                    cell,
                    network,
                    test,
                    predictions=tested.assign(**vars(cell), score=scores),
                    history=pd.DataFrame({**vars(cell), "epoch": range(1, len(losses) + 1), "loss": losses}),
                    images_trained=len(kept) * len(losses),
                )


def save(trainings: Iterable[Trained], folder: Path) -> int:
    """Write what cells came to as `predictions.csv` and `history.csv`; how many images were trained on in all."""
    predictions, history, images = [], [], 0
    for trained in trainings:
        predictions.append(trained.predictions)
        history.append(trained.history)
        images += trained.images_trained
    pd.concat(predictions).to_csv(folder / "predictions.csv", index=False, float_format="%.6f")
    pd.concat(history).to_csv(folder / "history.csv", index=False, float_format="%.6g")
    return images
