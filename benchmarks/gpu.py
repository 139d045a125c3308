"""Several trainings at once on a GPU, with recorded steps and without: images a second of all of them together."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from benchmarks.contender import together
from benchmarks.line import Line
from benchmarks.training import BATCH, POINT, images
from benchmarks.tricks import RECORDED, without
from leanet.attention.detect import Samples, train_cell
from leanet.attention.settings import TrainLEANet
from leanet.color import fancy_pca
from leanet.color.colorize import fit_unet
from leanet.color.settings import TrainUNet
from leanet.core import device as devices
from leanet.training.job import Place
from leanet.training.ondevice import OnDevice

SIDE, COUNT, EPOCHS = 256, 160, 30
AT_ONCE = (1, 2, 3, 4)
ROWS = ("resnet18", "resnet18-resnet")


def training(what: str, *off: str) -> Callable[[], object]:
    """A training of EPOCHS epochs, as with the recipe of the paper, a call; without the tricks `off`."""
    torch.set_num_threads(1)
    pixels, chosen = images(COUNT, SIDE), np.arange(COUNT)
    maps = np.random.default_rng(1).uniform(0, 30, (COUNT, SIDE, SIDE)).astype(np.float16)

    def run() -> None:
        with without(*off) as (device, dtype):
            place = Place(device, checkpoint=None, on_epoch=lambda loss: None)
            how = {"recipe": "paper", "dtype": dtype}
            if what == "U-Net":
                settings = TrainUNet(
                    EPOCHS, EPOCHS, BATCH, 1e-3, [0.9, 0.999], dropout=0.5, width=64, out_of_sample=False, seed=0
                )
                basis, normals = fancy_pca.fit(pixels[:8]), OnDevice(pixels, chosen, device)
                fit_unet(normals, basis, 0.1, settings, place, number=0, **how)
            else:
                settings = TrainLEANet([POINT], EPOCHS, BATCH, 1e-3, 1e-3, False, map_scale=30, seed=0)
                data = Samples.on(device, pixels, maps, chosen % 2, 30, chosen)
                train_cell(what, POINT, data, settings, place, fold=0, **how)

    return run


def lines() -> Iterator[Line]:
    """Images a second of so many trainings at once, from their beginning to their end; nothing without a GPU."""
    for what in (*ROWS, "U-Net") if devices.select("auto").type == "cuda" else ():
        ours, other = (together(partial(training, what, *off), AT_ONCE) for off in ((), (RECORDED,)))
        for at_once in AT_ONCE:
            name, trained = f"{what}, {SIDE}×{SIDE}, {at_once} at once", at_once * COUNT * EPOCHS
            speeds = (trained / ours[at_once], "images/s", "steps not recorded", trained / other[at_once])
            yield Line(name, *speeds, "times faster", other[at_once] / ours[at_once], "")
