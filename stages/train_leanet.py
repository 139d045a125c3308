"""Stage train_leanet: cross-validate one row, a network for each fold and attention point (section 4-2)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from leanet import device as devices
from leanet import paths, rows, stage
from leanet.data import imageset
from leanet.data.arrayfile import ArrayFile
from leanet.data.imageset import ImageSet
from leanet.params import Params
from leanet.training.cells import Trained, cells, save, train
from leanet.training.detect import look


def main(params: Params, dataset: str, row: str) -> dict:
    device = devices.select(params.device)
    dtype = devices.number_format(params.precision, device)
    data = imageset.load(paths.split(dataset), params.split.image_size)
    with paths.whole(paths.cv(dataset, row)) as folder:
        trainings = train(
            row,
            cells(data, row, params.train_leanet.points, shares=[1]),
            data,
            lambda fold: imageset.load_maps(paths.maps(dataset), fold, data),
            params,
            device=device,
            dtype=dtype,
            title=f"train {row} on {dataset}",
        )
        if rows.parts(row).external:
            trainings = with_examples(trainings, data, paths.maps(dataset), folder, dtype)
        images = save(trainings, folder)
    return {"device": str(device), "precision": str(dtype), "images_trained": images}


def with_examples(
    trainings: Iterable[Trained], data: ImageSet, maps: Path, folder: Path, dtype
) -> Iterator[Trained]:
    """Of the first fold's networks, keep what they see in a few test images, for pictures (Fig. 5)."""
    shown = data.examples(fold=0, positives=4, negatives=4)
    for trained in trainings:
        if trained.cell.fold == 0:
            np.savez(
                folder / f"examples-point{trained.cell.point}.npz",
                images=data.images[shown],
                recolored=ArrayFile(maps / "recolored.npy")[shown],
                maps=imageset.load_maps(maps, 0, data)[shown],
                **look(trained.network, trained.test, np.searchsorted(data.tested(0), shown), dtype=dtype),
            )
        yield trained


if __name__ == "__main__":
    stage.run("train_leanet", main)
