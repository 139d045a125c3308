"""Stage train_unet: the colourisers, each trained on normal images alone and without its folds (section 3-1)."""

import json

from leanet.color.colorize import job
from leanet.color.fancy_pca import Basis
from leanet.color.left_out import colourisers, name
from leanet.color.settings import Augment, TrainUNet
from leanet.core import files, paths
from leanet.core.settings import Device, Precision
from leanet.images import imageset
from leanet.run import stage
from leanet.run.settings import Execution
from leanet.run.trainings import figures, run
from leanet.training.job import history
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
    every = colourisers(data, train_unet.out_of_sample)
    bases = map(Basis.from_lists, json.loads(paths.basis(dataset).read_text()))
    numbers = {"recipe": recipe, "precision": precision}
    jobs = [
        job(data, left_out, basis, augment, train_unet, number=number, **numbers)
        for number, (left_out, basis) in enumerate(zip(every, bases, strict=True))
    ]
    address = stage.address("train_unet", [dataset])
    outcomes = run(jobs, execution, device=device, address=address, weights=True)
    with files.whole(paths.unet(dataset)) as folder:
        for place, left_out in enumerate(every):
            outcomes.save_weights(place, folder / f"{name(left_out)}.safetensors")
        history(jobs, outcomes).to_csv(folder / "history.csv", index=False, float_format="%.6g")
    return figures(outcomes)


if __name__ == "__main__":
    stage.run("train_unet", main)
