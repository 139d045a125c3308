"""Stage anomaly_maps: CIEDE2000 maps of every image by each fold's colouriser (section 3-1)."""

import numpy as np
from safetensors.torch import load_file

from leanet.color.anomaly_map import make_maps
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.core import files, paths
from leanet.core.arrays import ArrayFile
from leanet.core.progress import Progress
from leanet.core.settings import Device, Precision
from leanet.images import imageset
from leanet.run import stage


def main(dataset: str, precision: Precision, device: Device) -> dict:
    place = devices.prepare(device)
    dtype = devices.number_format(precision, place)
    data = imageset.load(paths.split(dataset))
    count = len(data.images)
    with (
        files.whole(paths.maps(dataset)) as folder,
        Progress(len(data.folds) * count, f"anomaly maps {dataset}") as progress,
    ):
        # Shown recoloured is each image by the (first) fold that it is tested in.
        recolored = ArrayFile.create(folder / "recolored.npy", np.uint8, data.images.shape)
        for fold in data.folds:
            network = UNet(side=data.side, dropout=0)
            network.load_state_dict(load_file(paths.unet(dataset) / f"fold{fold}.safetensors"))
            network.to(place)
            maps = ArrayFile.create(folder / f"fold{fold}.npy", np.float16, data.images.shape[:3])
            for batch, batch_maps, batch_colors in make_maps(network, data.images, device=place, dtype=dtype):
                maps[batch] = batch_maps
                tested = data.first_tested_in[batch] == fold
                if tested.any():
                    recolored[np.arange(count)[batch][tested]] = batch_colors[tested]
                progress.step(len(batch_maps), fold=fold)
        imageset.seal(folder)
    return {"device": str(place), "precision": str(dtype)}


if __name__ == "__main__":
    stage.run("anomaly_maps", main)
