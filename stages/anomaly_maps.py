"""Stage anomaly_maps: CIEDE2000 maps of every image by each fold's colouriser (section 3-1).

Also the map as a detector of its own: each image scored by statistics of its map, made by the colouriser
of the fold that it is tested in.
"""

import numpy as np
from safetensors.torch import load_file

from leanet import device as devices
from leanet import paths, stage
from leanet.anomaly_map import STATISTICS, make_maps
from leanet.data import imageset
from leanet.data.arrayfile import ArrayFile
from leanet.models.unet import UNet
from leanet.params import Params
from leanet.pictures import save_grid
from leanet.progress import Progress


def main(params: Params, dataset: str) -> dict:
    device = devices.select(params.device)
    dtype = devices.number_format(params.precision, device)
    data = imageset.load(paths.split(dataset), params.split.image_size)
    count = len(data.images)
    own_fold = data.manifest["fold"].to_numpy()
    statistics = {name: np.empty(count, np.float32) for name in STATISTICS}
    with (
        paths.whole(paths.maps(dataset)) as folder,
        paths.whole(paths.cv(dataset, paths.MAP_ALONE)) as scored,
        Progress(len(data.folds) * count, f"anomaly maps {dataset}") as progress,
    ):
        # Recoloured, and scored, is each image by the fold it is tested in.
        recolored = ArrayFile.create(folder / "recolored.npy", np.uint8, data.images.shape)
        for fold in data.folds:
            network = UNet(side=data.side, dropout=0)
            network.load_state_dict(load_file(paths.unet(dataset) / f"fold{fold}.safetensors"))
            network.to(device)
            maps = ArrayFile.create(folder / f"fold{fold}.npy", np.float16, data.images.shape[:3])
            for place, batch_maps, batch_colors in make_maps(network, data.images, device=device, dtype=dtype):
                maps[place] = batch_maps
                tested = own_fold[place] == fold
                if tested.any():
                    at = np.arange(count)[place][tested]
                    recolored[at] = batch_colors[tested]
                    for name, statistic in STATISTICS.items():
                        statistics[name][at] = statistic(batch_maps[tested])
                progress.step(len(batch_maps), fold=fold)
            if fold == 0:
                shown = data.examples(fold, positives=4, negatives=4)
                grid = [[data.images[i], recolored[i], maps[i]] for i in shown]
        scores = data.manifest[["path", "label", "fold"]].assign(**statistics)
        scores.to_csv(scored / "scores.csv", index=False, float_format="%.6g")
    titles = ["original", "recoloured", "anomaly map"]
    save_grid(paths.preview(dataset, "maps"), grid, titles, tops={2: 30})
    return {"device": str(device), "precision": str(dtype)}


if __name__ == "__main__":
    stage.run("anomaly_maps", main)
