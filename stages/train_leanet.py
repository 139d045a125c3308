"""Stage train_leanet: cross-validate one row, a network for each fold and attention point (section 4-2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leanet import paths, rows, stage
from leanet.data import imageset
from leanet.data.arrayfile import ArrayFile
from leanet.data.imageset import ImageSet
from leanet.execution.job import Job, Outcome
from leanet.execution.run import figures, run
from leanet.params import Params
from leanet.training.cells import cells, jobs, save


def main(params: Params, dataset: str, row: str) -> dict:
    data = imageset.load(paths.split(dataset), params.split.image_size)
    wanted = cells(data, row, params.train_leanet.points, shares=[1])
    shown = data.examples(fold=0, positives=4, negatives=4) if rows.parts(row).external else None
    trainings = jobs(row, wanted, data, paths.maps(dataset), params, shown)
    address = stage.address("train_leanet", [dataset, row])
    outcomes = run(trainings, params.execution, device=params.device, address=address)
    with paths.whole(paths.cv(dataset, row)) as folder:
        save(trainings, outcomes, data, folder)
        if shown is not None:
            save_examples(trainings, outcomes, shown, data, paths.maps(dataset), folder)
    return figures(outcomes)


def save_examples(
    jobs: list[Job], outcomes: Sequence[Outcome], shown: np.ndarray, data: ImageSet, maps: Path, folder: Path
) -> None:
    """Write what the first fold's networks see in a few test images, for pictures (Fig. 5)."""
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.name["fold"] == 0:
            seen = {name: outcome.arrays[name] for name in ("attention", "before", "after")}
            np.savez(
                folder / f"examples-point{job.name['point']}.npz",
                images=data.images[shown],
                recolored=ArrayFile(maps / "recolored.npy")[shown],
                maps=imageset.load_maps(maps, 0, data)[shown],
                **seen,
            )


if __name__ == "__main__":
    stage.run("train_leanet", main)
