"""Stage anomaly_maps: CIEDE2000 maps of every image by each fold's colouriser (section 3-1)."""

import numpy as np
from safetensors.torch import load_file

from leanet import device as devices
from leanet import paths, stage
from leanet.anomaly_map import make_maps
from leanet.data import imageset
from leanet.data.arrayfile import ArrayFile
from leanet.models.unet import UNet
from leanet.params import Params
from leanet.pictures import MAP_TOP, save_grid
from leanet.progress import Progress


def main(params: Params, dataset: str) -> dict:
    device = devices.select(params.device)
    dtype = devices.number_format(params.precision, device)
    data = imageset.load(paths.split(dataset), params.split.image_size)
    count = len(data.images)
    tested_first = data.first_tested_in
    with (
        paths.whole(paths.maps(dataset)) as folder,
        Progress(len(data.folds) * count, f"anomaly maps {dataset}") as progress,
    ):
        # Shown recoloured is each image by the (first) fold that it is tested in.
        recolored = ArrayFile.create(folder / "recolored.npy", np.uint8, data.images.shape)
        for fold in data.folds:
            network = UNet(side=data.side, dropout=0)
            network.load_state_dict(load_file(paths.unet(dataset) / f"fold{fold}.safetensors"))
            network.to(device)
            maps = ArrayFile.create(folder / f"fold{fold}.npy", np.float16, data.images.shape[:3])
            for place, batch_maps, batch_colors in make_maps(network, data.images, device=device, dtype=dtype):
                maps[place] = batch_maps
                tested = tested_first[place] == fold
                if tested.any():
                    recolored[np.arange(count)[place][tested]] = batch_colors[tested]
                progress.step(len(batch_maps), fold=fold)
            if fold == 0:
                shown = data.examples(fold, positives=4, negatives=4)
                grid = [[data.images[i], recolored[i], maps[i]] for i in shown]
        imageset.seal(folder)
    titles = ["original", "recoloured", "anomaly map"]
    save_grid(paths.preview(dataset, "maps"), grid, titles, ranges={2: (0, MAP_TOP)})
    return {"device": str(device), "precision": str(dtype)}


if __name__ == "__main__":
    stage.run("anomaly_maps", main)
