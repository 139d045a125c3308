"""Stage train_unet: one colouriser a fold, trained on that fold's training normals alone (section 3-1)."""

import json

import numpy as np

from leanet.color.colorize import colouriser
from leanet.color.settings import Augment, TrainUNet
from leanet.core import files, paths
from leanet.core.settings import Device, Precision
from leanet.images import imageset
from leanet.run import stage
from leanet.run.settings import Execution
from leanet.run.trainings import figures, run
from leanet.training.job import Job, history
from leanet.training.settings import Recipe


def main(
    dataset: str,
    augment: Augment,
    train_unet: TrainUNet,
    recipe: Recipe,
    precision: Precision,
    device: Device,
    execution: Execution,
) -> dict:
    data = imageset.load(paths.split(dataset))
    bases = json.loads(paths.basis(dataset).read_text())
    jobs = [
        Job(
            name={"fold": fold},
            function=colouriser,
            arrays={
                "images": data.images,
                "normals": data.normals(fold),
                "eigenvalues": np.array(bases[fold]["eigenvalues"]),
                "eigenvectors": np.array(bases[fold]["eigenvectors"]),
            },
            settings={
                "fold": fold,
                "std": augment.std,
                "recipe": recipe,
                "precision": precision,
                "train_unet": train_unet,
            },
            epochs=train_unet.epochs,
            keep_weights=True,
        )
        for fold in data.folds
    ]
    address = stage.address("train_unet", [dataset])
    outcomes = run(jobs, execution, device=device, address=address, weights=True)
    with files.whole(paths.unet(dataset)) as folder:
        for fold in data.folds:
            outcomes.save_weights(fold, folder / f"fold{fold}.safetensors")
        history(jobs, outcomes).to_csv(folder / "history.csv", index=False, float_format="%.6g")
    return figures(outcomes)


if __name__ == "__main__":
    stage.run("train_unet", main)
