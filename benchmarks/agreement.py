"""`python -m benchmarks.agreement`: speed changes no science. F1 with all tricks, and in float32 without any.

Cross-validates a row on the first data set of params.yaml, after `dvc repro`, for several seeds of weights
and order.
"""

import argparse
import statistics
from dataclasses import replace

import torch

from benchmarks.tricks import TRICKS, without
from leanet.attention.cells import Cell, jobs, points_of, predictions
from leanet.cli import params as settings
from leanet.core import paths
from leanet.evaluation.scores import score_row
from leanet.images import imageset
from leanet.training.job import Place


def f1(params: settings.Params, row: str, seed: int, *off: str) -> float:
    """Mean F1 over the folds, at the first attention point, without the tricks `off`."""
    dataset = next(iter(params.datasets))
    params = replace(params, train_leanet=replace(params.train_leanet, seed=seed))
    data = imageset.load(paths.split(dataset))
    maps = {fold: imageset.load_maps(paths.maps(dataset), fold, data) for fold in data.folds}
    cells = [Cell(fold, point) for fold in data.folds for point in points_of(row, params.train_leanet.points)[:1]]
    with without(*off) as (device, dtype):
        precision = "bf16" if dtype is torch.bfloat16 else "float32"
        how = {"recipe": params.recipe, "precision": precision}
        trainings = jobs(row, cells, data, maps, params.train_leanet, **how)
        place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
        outcomes = [job.function(job.arrays, place, **job.settings) for job in trainings]
    return score_row(predictions(trainings, outcomes, data), params.split.folds).f1.mean


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__.splitlines()[0])
    parser.add_argument("--row", default="resnet18-resnet")
    parser.add_argument("--epochs", type=int, help="(default: that of params.yaml)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    params = settings.load()
    if arguments.epochs:
        params = replace(params, train_leanet=replace(params.train_leanet, epochs=arguments.epochs))
    print("| tricks | F1 by seed | mean | deviation over seeds |\n|---|---|---|---|")
    # Without them first: memory once kept stays kept in a process.
    for name, off in (("none, float32", TRICKS), ("all", ())):
        means = [f1(params, arguments.row, seed, *off) for seed in arguments.seeds]
        by_seed = ", ".join(f"{mean:.3f}" for mean in means)
        print(
            f"| {name} | {by_seed} | {statistics.fmean(means):.3f} | {statistics.stdev(means):.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
