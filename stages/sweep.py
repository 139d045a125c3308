"""Stage sweep: one row trained again with fewer anomalous images; test folds stay whole (section 4-4, Fig. 4)."""

from leanet.attention.cells import Cell, jobs, points_of, predictions
from leanet.attention.settings import Sweep, TrainLEANet
from leanet.core import files, paths
from leanet.core.settings import Device, Precision
from leanet.evaluation.predictions import write, write_none
from leanet.images import imageset
from leanet.images.settings import Split
from leanet.run import stage
from leanet.run.settings import Execution
from leanet.run.trainings import figures, run
from leanet.training.job import history
from leanet.training.settings import Recipe


def main(
    dataset: str,
    row: str,
    split: Split,
    sweep: Sweep,
    train_leanet: TrainLEANet,
    recipe: Recipe,
    precision: Precision,
    device: Device,
    execution: Execution,
) -> dict:
    data = imageset.load(paths.split(dataset))
    if not data.has_both:
        write_none(paths.sweep(dataset, row))
        return {}
    maps = {fold: imageset.load_maps(paths.maps(dataset), fold, data) for fold in data.folds}
    (point,) = points_of(row, [sweep.point])
    cells = [Cell(fold, point, share) for fold in data.folds for share in sweep.shares]
    trainings = jobs(row, cells, data, maps, train_leanet, recipe=recipe, precision=precision, seed=split.seed)
    outcomes = run(trainings, execution, device=device, address=stage.address("sweep", [dataset, row]))
    with files.whole(paths.sweep(dataset, row)) as folder:
        write(predictions(trainings, outcomes, data), history(trainings, outcomes), folder)
    return figures(outcomes)


if __name__ == "__main__":
    stage.run("sweep", main)
