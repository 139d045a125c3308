"""Several trainings at once on a GPU, with recorded steps and without: images a second of all of them together."""

from collections.abc import Callable, Iterator
from functools import partial

import torch

from benchmarks.contender import together
from benchmarks.line import Line
from benchmarks.tricks import RECORDED, training
from leanet.core import device as devices

SIDE, COUNT, EPOCHS = 256, 160, 30
AT_ONCE = (1, 2, 3, 4)
NETWORKS = ("resnet18", "resnet18-resnet", "U-Net")


def on_one_core(network: str, *off: str) -> Callable[[], object]:
    """A training by the paper's recipe, a call, without the tricks `off`."""
    torch.set_num_threads(1)
    return training(network, *off, side=SIDE, count=COUNT, epochs=EPOCHS, recipe="paper")


def lines() -> Iterator[Line]:
    """Images a second of so many trainings at once, from their beginning to their end; nothing without a GPU."""
    for network in NETWORKS if devices.select("auto").type == "cuda" else ():
        ours, other = (together(partial(on_one_core, network, *off), AT_ONCE) for off in ((), (RECORDED,)))
        for at_once in AT_ONCE:
            name, trained = f"{network}, {SIDE}×{SIDE}, {at_once} at once", at_once * COUNT * EPOCHS
            speeds = (trained / ours[at_once], "images/s", "steps not recorded", trained / other[at_once])
            yield Line(name, *speeds, "times faster", other[at_once] / ours[at_once], "")
