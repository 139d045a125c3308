"""Stage sweep: one row trained again with fewer anomalous images; test folds stay whole (section 4-4, Fig. 4)."""

from leanet import paths, stage
from leanet.data import imageset
from leanet.execution.run import figures, run
from leanet.params import Params
from leanet.training.cells import cells, jobs, save


def main(params: Params, dataset: str, row: str) -> dict:
    data = imageset.load(paths.split(dataset), params.split.image_size)
    wanted = cells(data, row, [params.sweep.point], params.sweep.shares)
    trainings = jobs(row, wanted, data, paths.maps(dataset), params)
    address = stage.address("sweep", [dataset, row])
    outcomes = run(trainings, params.execution, device=params.device, address=address)
    with paths.whole(paths.sweep(dataset, row)) as folder:
        save(trainings, outcomes, data, folder)
    return figures(outcomes)


if __name__ == "__main__":
    stage.run("sweep", main)
