"""Stage anomaly_maps: for each fold, a CIEDE2000 map of every image by one of its colourisers (section 3-1).

Also of images that ask where a network looks (leanet.images.counterfactuals), by the fold that they are tested in.
"""

import numpy as np

from leanet.color.anomaly_map import make_maps
from leanet.color.left_out import colourisers, makers, name
from leanet.color.settings import TrainUNet
from leanet.color.unet import UNet
from leanet.core import device as devices
from leanet.core import files, paths
from leanet.core.arrays import ArrayFile
from leanet.core.progress import Progress
from leanet.core.settings import Device, Precision
from leanet.images import counterfactuals, imageset
from leanet.images.settings import Split
from leanet.run import stage
from leanet.training.weights import put, read


def main(dataset: str, split: Split, train_unet: TrainUNet, precision: Precision, device: Device) -> dict:
    place = devices.prepare(device)
    dtype = devices.number_format(precision, place)
    data, altered = imageset.load(paths.split(dataset)), counterfactuals.load(paths.split(dataset))
    made_by = makers(data, train_unet.out_of_sample)
    tested_by = made_by[data.first_tested_in, np.arange(len(data.labels))]
    every = colourisers(data, train_unet.out_of_sample)
    needed = [np.flatnonzero((made_by == number).any(axis=0)) for number in range(len(every))]
    how = {"filled": split.background == "fill", "device": place, "dtype": dtype}
    with (
        files.whole(paths.maps(dataset)) as folder,
        Progress(sum(map(len, needed)), f"anomaly maps {dataset}") as progress,
    ):
        # Shown recoloured is each image by the (first) fold that it is tested in.
        recolored = ArrayFile.create(folder / "recolored.npy", np.uint8, data.images.shape)
        maps, of_altered = (
            {
                stem: ArrayFile.create(folder / f"{stem}.npy", np.float16, (n, data.side, data.side))
                for stem in stems
            }
            for n, stems in (
                (len(data.labels), [f"fold{fold}" for fold in data.folds]),
                (len(altered.asked), altered.images),
            )
        )
        for number, (left_out, chosen) in enumerate(zip(every, needed, strict=True)):
            network = UNet(side=data.side, width=train_unet.width, dropout=0)
            put(network, read(paths.unet(dataset) / f"{name(left_out)}.safetensors"))
            network.to(place)
            for batch, found, colors in make_maps(network, data.images, chosen, **how):
                for fold, of_fold in enumerate(maps.values()):
                    own = made_by[fold, batch] == number
                    of_fold[batch[own]] = found[own]
                shown = tested_by[batch] == number
                recolored[batch[shown]] = colors[shown]
                progress.step(len(batch), colouriser=name(left_out))
            chosen = np.flatnonzero(tested_by[altered.asked] == number)
            for kind, images in altered.images.items():
                for batch, found, _ in make_maps(network, images, chosen, **how):
                    of_altered[kind][batch] = found
        imageset.seal(folder)
    return {"device": str(place), "precision": str(dtype)}


if __name__ == "__main__":
    stage.run("anomaly_maps", main)
