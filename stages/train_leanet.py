"""Stage train_leanet: cross-validate one row, a network for each fold and attention point (section 4-2)."""

import numpy as np
import pandas as pd

from leanet import device as devices
from leanet import paths, rows, stage
from leanet.data import imageset
from leanet.data.arrayfile import ArrayFile
from leanet.params import Params
from leanet.progress import Progress
from leanet.training.detect import Samples, predict, train_cell


def main(params: Params, dataset: str, row: str) -> dict:
    device = devices.select(params.device)
    dtype = devices.number_format(params.precision, device)
    settings = params.train_leanet
    data = imageset.load(paths.split(dataset), params.split.image_size)
    recolored = ArrayFile(paths.maps(dataset) / "recolored.npy")
    # A plain ADN has no attention point: one network a fold, written as point 0.
    points = settings.points if rows.parts(row)[1] else [0]
    predictions, history, trained = [], [], 0
    with (
        paths.whole(paths.cv(dataset, row)) as folder,
        Progress(len(data.folds) * len(points) * settings.epochs, f"train {row} on {dataset}") as progress,
    ):
        for fold in data.folds:
            maps = imageset.load_maps(paths.maps(dataset), fold, data)
            train, test = (
                Samples.on(device, data.images, maps, data.labels, settings.map_scale, chosen)
                for chosen in (data.trained(fold), data.tested(fold))
            )
            for point in points:
                network, losses = train_cell(
                    row,
                    point,
                    train,
                    settings,
                    recipe=params.recipe,
                    fold=fold,
                    dtype=dtype,
                    on_epoch=lambda loss, fold=fold, point=point: progress.step(
                        fold=fold, point=point, loss=f"{loss:.4f}"
                    ),
                )
                trained += len(train.labels) * len(losses)
                scores, attention = predict(network, test, recipe=params.recipe, dtype=dtype)
                tested = data.manifest.loc[data.tested(fold), ["path", "label", "fold"]]
                predictions.append(tested.assign(point=point, score=scores))
                history += [
                    {"fold": fold, "point": point, "epoch": epoch, "loss": loss}
                    for epoch, loss in enumerate(losses, 1)
                ]
                if fold == 0 and attention is not None:
                    shown = data.examples(fold, positives=4, negatives=4)
                    at = np.searchsorted(data.tested(fold), shown)
                    np.savez(
                        folder / f"examples-point{point}.npz",
                        images=data.images[shown],
                        recolored=recolored[shown],
                        maps=maps[shown],
                        attention=attention[at],
                    )
        pd.concat(predictions).to_csv(folder / "predictions.csv", index=False, float_format="%.6f")
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False, float_format="%.6g")
    return {"device": str(device), "precision": str(dtype), "images_trained": trained}


if __name__ == "__main__":
    stage.run("train_leanet", main)
