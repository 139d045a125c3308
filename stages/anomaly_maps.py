"""Stage anomaly_maps: CIEDE2000 maps of every image by each fold's colouriser (section 3-1).

Also the map as a detector of its own: each image scored by a high percentile of its map, made by the
colouriser of the fold that it is tested in. The mean would drown a small lesion in the rest of the image;
the maximum would be one pixel's noise.
"""

import numpy as np
import pandas as pd
from safetensors.torch import load_file

from leanet import device as devices
from leanet import paths, stage
from leanet.anomaly_map import make_maps
from leanet.data import imageset
from leanet.models.unet import UNet
from leanet.params import Params
from leanet.progress import Progress
from leanet.pictures import save_grid


SCORED_PERCENTILE = 99


def main(params: Params, dataset: str) -> dict:
    device = devices.select(params.device)
    dtype = devices.number_format(params.precision, device)
    data = imageset.load(paths.split(dataset), params.split.image_size)
    count = len(data.images)
    recolored = np.empty_like(data.images)  # of each image by the fold it is tested in
    map_score = np.empty(count, np.float32)
    with (
        paths.whole(paths.maps(dataset)) as folder,
        paths.whole(paths.cv(dataset, paths.MAP_ALONE)) as scored,
        Progress(len(data.folds) * count, f"anomaly maps {dataset}") as progress,
    ):
        for fold in data.folds:
            network = UNet(side=data.side, dropout=0)
            network.load_state_dict(load_file(paths.unet(dataset) / f"fold{fold}.safetensors"))
            network.to(device)
            maps = np.lib.format.open_memmap(
                folder / f"fold{fold}.npy", "w+", np.float16, data.images.shape[:3]
            )
            tested = np.zeros(count, bool)
            tested[data.tested(fold)] = True
            for place, batch_maps, batch_colors in make_maps(network, data.images, device=device, dtype=dtype):
                maps[place] = batch_maps
                own = tested[place]
                recolored[place][own] = batch_colors[own]
                map_score[place][own] = np.percentile(batch_maps[own], SCORED_PERCENTILE, axis=(1, 2))
                progress.step(len(batch_maps), fold=fold)
            maps.flush()
            if fold == 0:
                shown = data.examples(fold, positives=4, negatives=4)
                grid = [[data.images[i], recolored[i], maps[i].astype(np.float32)] for i in shown]
                save_grid(folder / "preview.png", grid, ["original", "recoloured", "anomaly map"], tops={2: 30})
        np.save(folder / "recolored.npy", recolored)
        predictions = data.manifest[["path", "label", "fold"]].assign(point=0, score=map_score)
        predictions.to_csv(scored / "predictions.csv", index=False, float_format="%.6g")
    return {"device": str(device), "precision": str(dtype)}


if __name__ == "__main__":
    stage.run("anomaly_maps", main)
