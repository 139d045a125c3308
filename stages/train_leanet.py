"""Stage train_leanet: cross-validate one row, a network for each fold and attention point (section 4-2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leanet.attention.cells import SEEN, Cell, altered_predictions, examples, jobs, points_of, predictions
from leanet.attention.settings import TrainLEANet
from leanet.core import files, paths
from leanet.core.arrays import ArrayFile
from leanet.core.settings import Device, Precision
from leanet.evaluation import scores
from leanet.evaluation.predictions import ALTERED, SCORES, write, write_none
from leanet.images import counterfactuals, imageset
from leanet.images.imageset import ImageSet
from leanet.run import kept, stage
from leanet.run.settings import Execution
from leanet.run.trainings import figures, run
from leanet.training.job import Job, Outcome, history
from leanet.training.settings import Recipe


def main(
    dataset: str,
    row: str,
    train_leanet: TrainLEANet,
    recipe: Recipe,
    precision: Precision,
    device: Device,
    execution: Execution,
) -> dict:
    data = imageset.load(paths.split(dataset))
    if not data.has_both:
        write_none(paths.cv(dataset, row))
        return {}
    maps = {fold: imageset.load_maps(paths.maps(dataset), fold, data) for fold in data.folds}
    cells = [Cell(fold, point) for fold in data.folds for point in points_of(row, train_leanet.points)]
    altered = counterfactuals.load(paths.split(dataset), paths.maps(dataset))
    numbers = {"recipe": recipe, "precision": precision}
    of_detector = range(data.folds_per_repeat)
    trainings = jobs(row, cells, data, maps, train_leanet, **numbers, altered=altered, detector_folds=of_detector)
    address = stage.address("train_leanet", [dataset, row])
    outcomes = run(trainings, execution, device=device, address=address)
    table = predictions(trainings, outcomes, data)
    with files.whole(paths.cv(dataset, row)) as folder:
        write(table, history(trainings, outcomes), folder)
        asked = altered_predictions(trainings, outcomes, data, altered)
        asked.to_csv(folder / ALTERED, index=False, float_format=SCORES)
        if len(shown := examples(row, data)):
            save_examples(trainings, outcomes, shown, data, maps[0], paths.maps(dataset), folder)
    # The detector takes the best point alone.
    best = scores.best_point(scores.score_cells(table)["f1"])
    kept.drop_weights(key for key, cell in zip(outcomes.keys, cells, strict=True) if cell.point != best)
    return figures(outcomes)


def save_examples(
    jobs: list[Job],
    outcomes: Sequence[Outcome],
    shown: np.ndarray,
    data: ImageSet,
    maps: ArrayFile,
    recolored: Path,
    folder: Path,
) -> None:
    """Write what the first fold's networks see in a few test images, for pictures (Fig. 5)."""
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.name["fold"] == 0:
            np.savez(
                folder / f"examples-point{job.name['point']}.npz",
                images=data.images[shown],
                recolored=ArrayFile(recolored / "recolored.npy")[shown],
                maps=maps[shown],
                **{name: outcome.arrays[name] for name in SEEN},
            )


if __name__ == "__main__":
    stage.run("train_leanet", main)
