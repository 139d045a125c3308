"""Stage package: the chosen row's fold models as one detector for new images."""

import pandas as pd
from safetensors.numpy import load_file

from leanet import device as devices
from leanet import paths, rows, stage
from leanet.data import imageset
from leanet.detector.card import card
from leanet.detector.package import assemble, provenance
from leanet.errors import InputError
from leanet.execution.run import figures, run
from leanet.params import Params
from leanet.scores import RowScores, Undefined, score_row
from leanet.training.cells import Cell, jobs
from leanet.training.weights import unpack


def main(params: Params) -> dict:
    dataset = params.package.dataset or next(iter(params.datasets))
    row, point, scores = choose(params, dataset)
    data = imageset.load(paths.split(dataset), params.split.image_size)
    folds = range(params.split.folds)  # of the first repeat: each image is tested by one member

    # As in the cross-validation, whose trainings keep no weights: they would fill a disk.
    cells = [Cell(fold, point) for fold in folds]
    trainings = jobs(row, cells, data, paths.maps(dataset), params, keep_weights=True)
    outcomes = run(trainings, params.execution, device=params.device, address="package")
    weights = [
        {
            "unet": load_file(paths.unet(dataset) / f"fold{fold}.safetensors"),
            "network": unpack(outcome.arrays),
        }
        for fold, outcome in zip(folds, outcomes, strict=True)
    ]
    facts = {
        "dataset": dataset,
        "chosen_among": [params.package.row] if params.package.row else params.rows,
        "cross_validation": scores.numbers,
        "provenance": provenance(dataset, data),
    }
    device = devices.select(params.device)
    detector = assemble(row, point or None, weights, data, params, device, facts)
    with paths.whole(paths.DETECTOR) as folder:
        detector.save(folder)
        (folder / "README.md").write_text(card(detector), encoding="utf-8")
    print(f"{row} of {dataset}: {detector.threshold.summary}")
    for doubt in detector.doubts:
        print(f"note: {doubt}")
    return figures(outcomes)


def choose(params: Params, dataset: str) -> tuple[str, int, RowScores]:
    """The row of the highest F1, its point (0: none) by all folds together, and its figures."""
    wanted = params.package
    candidates = [wanted.row] if wanted.row else params.rows
    tables = {row: pd.read_csv(paths.cv(dataset, row) / "predictions.csv") for row in candidates}
    scores = {row: score_row(table, params.split.folds) for row, table in tables.items()}
    defined = {row: each.f1.mean for row, each in scores.items() if not isinstance(each.f1.mean, Undefined)}
    if not defined:
        raise InputError(f"no row of {dataset} has an F1 to choose by; name one as package.row in params.yaml")
    row = max(defined, key=defined.get)
    if rows.parts(row).external is None:
        return row, 0, scores[row]
    return row, wanted.point or scores[row].paper_point, scores[row]


if __name__ == "__main__":
    stage.run("package", main)
