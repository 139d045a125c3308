"""Stage train_unet: one colouriser a fold, trained on that fold's training normals alone (section 3-1)."""

import json
from dataclasses import asdict

import numpy as np
from safetensors.numpy import save

from leanet import paths, stage
from leanet.data import imageset
from leanet.execution.job import Job
from leanet.execution.run import figures, run, save_history
from leanet.params import Params
from leanet.training import colorize, weights


def main(params: Params, dataset: str) -> dict:
    data = imageset.load(paths.split(dataset), params.split.image_size)
    bases = json.loads(paths.basis(dataset).read_text())
    jobs = [
        Job(
            name={"fold": fold},
            function=colorize.colouriser,
            arrays={
                "images": data.images,
                "normals": data.normals(fold),
                "eigenvalues": np.array(bases[fold]["eigenvalues"]),
                "eigenvectors": np.array(bases[fold]["eigenvectors"]),
            },
            settings={
                "fold": fold,
                "std": params.augment.std,
                "recipe": params.recipe,
                "precision": params.precision,
                "train_unet": asdict(params.train_unet),
            },
            epochs=params.train_unet.epochs,
        )
        for fold in data.folds
    ]
    outcomes = run(jobs, params.execution, device=params.device, address=stage.address("train_unet", [dataset]))
    with paths.whole(paths.unet(dataset)) as folder:
        for fold, outcome in zip(data.folds, outcomes, strict=True):
            (folder / f"fold{fold}.safetensors").write_bytes(save(weights.unpack(outcome.arrays)))
        save_history(jobs, outcomes, folder)
    return figures(outcomes)


if __name__ == "__main__":
    stage.run("train_unet", main)
