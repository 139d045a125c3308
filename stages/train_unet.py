"""Stage train_unet: one colouriser a fold, trained on that fold's training normals alone (section 3-1)."""

import json

import pandas as pd
from safetensors.torch import save_file

from leanet import device as devices
from leanet import fancy_pca, paths, stage
from leanet.data import imageset
from leanet.data.ondevice import OnDevice
from leanet.params import Params
from leanet.progress import Progress
from leanet.training.colorize import train_unet


def main(params: Params, dataset: str) -> dict:
    device = devices.select(params.device)
    dtype = devices.number_format(params.precision, device)
    settings = params.train_unet
    data = imageset.load(paths.split(dataset), params.split.image_size)
    bases = json.loads(paths.basis(dataset).read_text())
    history, trained = [], 0
    with (
        paths.whole(paths.unet(dataset)) as folder,
        Progress(len(data.folds) * settings.epochs, f"train U-Net {dataset}") as progress,
    ):
        for fold in data.folds:
            normals = OnDevice(data.images, data.normals(fold), device)
            network, losses = train_unet(
                normals,
                fancy_pca.Basis.from_lists(bases[fold]),
                params.augment.std,
                settings,
                recipe=params.recipe,
                fold=fold,
                dtype=dtype,
                on_epoch=lambda loss, fold=fold: progress.step(fold=fold, loss=f"{loss:.5f}"),
            )
            progress.step(settings.epochs - len(losses))  # what early stopping saved
            trained += len(normals) * len(losses)
            history += [{"fold": fold, "epoch": epoch, "loss": loss} for epoch, loss in enumerate(losses, 1)]
            weights = {name: weight.contiguous() for name, weight in network.state_dict().items()}
            save_file(weights, folder / f"fold{fold}.safetensors")
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False, float_format="%.6g")
    return {"device": str(device), "precision": str(dtype), "images_trained": trained}


if __name__ == "__main__":
    stage.run("train_unet", main)
